"""UPerNet against transformers' model, and as a Keras model: training, saving, formats, errors."""

import copy

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, load_checkpoint
from keras_convnext.models import returns_logits
from keras_convnext.profiling import profile
from keras_convnext.segmentation import SegmentationLoss, UPerNet


@pytest.fixture
def call_with_free_sizes(backend):
    """A function: a model's outputs where the graph does not know the images' size, on the backend that has this."""

    def call(model, images):
        if backend != "tensorflow":
            return model.predict(images, verbose=0)
        import tensorflow as tf

        signature = [tf.TensorSpec((None, None, None, 3), "float32")]
        return [y.numpy() for y in tf.function(model, input_signature=signature)(images)]

    return call


@pytest.mark.parametrize("size", [pytest.param((64, 64), marks=pytest.mark.once), (70, 90)])
def test_both_outputs_equal_those_of_transformers(
    size, upernet, peer, peer_file, normalized, call_with_free_sizes, assert_same
):
    model, images = upernet(), normalized(2, *size)
    assert load_checkpoint(model, peer_file) == "transformers"
    both = keras.Model(model.input, [model.output, model.auxiliary_output])
    for found, expected in zip(call_with_free_sizes(both, images), peer.logits(images), strict=True):
        assert_same(found, expected)


@pytest.mark.once
def test_a_step_of_fit_has_the_loss_and_the_statistics_of_transformers(
    upernet, peer, peer_file, normalized, label_maps, assert_same
):
    """The loss of training mode has the auxiliary head's, that of `evaluate` has not; nothing learns at rate 0."""
    import torch

    model, images, labels = upernet({"drop_rate": 0}), normalized(3, 64, 64), label_maps(3, 64, 64)
    load_checkpoint(model, peer_file)
    model.compile(keras.optimizers.SGD(0.0), SegmentationLoss(), metrics=[keras.metrics.SparseCategoricalAccuracy()])
    history = model.fit(images, labels, batch_size=3, validation_data=(images, labels), verbose=0).history
    trained = copy.deepcopy(peer.model).train()
    targets = torch.from_numpy(labels).long()
    with torch.no_grad():
        expected = trained(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), labels=targets).loss
        logits = trained.eval()(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).logits
        evaluated = torch.nn.functional.cross_entropy(logits, targets, ignore_index=255)
    np.testing.assert_allclose(history["loss"][0], expected, rtol=1e-4)
    np.testing.assert_allclose(history["val_loss"][0], evaluated, rtol=1e-4)
    hits = (logits.argmax(1).numpy() == labels).mean()
    np.testing.assert_allclose(history["val_sparse_categorical_accuracy"][0], hits, atol=1e-3)
    pooled = model.get_layer("pyramid_pooling").scales[0].norm
    theirs = trained.decode_head.psp_modules.blocks[0].layers[1].batch_norm
    assert_same(np.asarray(pooled.moving_mean), theirs.running_mean.numpy())
    assert_same(np.asarray(pooled.moving_variance), theirs.running_var.numpy())


@pytest.mark.once
def test_learns_and_comes_back_equal_from_a_file_in_a_new_process(
    smallest, randomize, images, label_maps, backend, run_python, tmp_path
):
    model = randomize(smallest(include_preprocessing=True))
    before = {weight.path: np.array(weight) for weight in model.trainable_weights}
    pixels, labels = images(2, 32, 40, 3), label_maps(2, 32, 40)
    model.compile(keras.optimizers.Adam(0.01), SegmentationLoss())
    model.fit(pixels, labels, batch_size=2, verbose=0)
    unchanged = [w.path for w in model.trainable_weights if np.array_equal(before[w.path], w)]
    assert not unchanged
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", pixels)
    run_python(
        "import numpy as np, keras, keras_convnext\n"
        f"model = keras_convnext.load_model({str(tmp_path / 'model.keras')!r})\n"
        "assert type(model.loss).__name__ == 'SegmentationLoss', model.loss\n"
        f"outputs = model.predict(np.load({str(tmp_path / 'images.npy')!r}), verbose=0)\n"
        f"np.save({str(tmp_path / 'outputs.npy')!r}, outputs)",
        backend,
    )
    outputs = model.predict(pixels, verbose=0)
    assert outputs.shape == (2, 32, 40, 5)
    np.testing.assert_allclose(np.load(tmp_path / "outputs.npy"), outputs, rtol=1e-5, atol=1e-6)


def test_channels_first_and_probabilities(smallest, randomize, normalized):
    model = randomize(smallest())
    first = smallest({"activation": "softmax"}, data_format="channels_first")
    first.set_weights(model.get_weights())
    assert (returns_logits(model), returns_logits(first)) == (True, False)
    images = normalized(1, 21, 32)
    found = first.predict(images.transpose(0, 3, 1, 2), verbose=0).transpose(0, 2, 3, 1)
    logits = model.predict(images, verbose=0)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_mixed_precision(smallest, randomize, normalized):
    model = randomize(smallest(), deviation=0.1)
    mixed = smallest(dtype="mixed_bfloat16")
    mixed.set_weights(model.get_weights())
    assert {weight.dtype for weight in mixed.weights} == {"float32"}
    assert mixed.get_layer("level_fusion").compute_dtype == "bfloat16"
    images = normalized(1, 21, 32)
    found, expected = mixed.predict(images, verbose=0), model.predict(images, verbose=0)
    assert found.dtype == "float32"
    assert 0 < np.abs(found - expected).max() < 0.1 * np.std(expected) + 0.02


@pytest.mark.slow
def test_has_the_published_size():
    """In the authors' README: 60 M parameters; 939 G operations for 2048 x 512 pixels, without the auxiliary head."""
    model = UPerNet.from_preset("convnext_tiny", num_classes=150)
    counted = profile(model, (512, 2048, 3))
    assert round(counted.params / 1e6) == 60
    auxiliary = (512 // 16) * (2048 // 16) * (9 * 384 * 256 + 256 * 150)
    assert 938 <= (counted.macs - auxiliary) / 1e9 <= 939


@pytest.mark.once
def test_the_names_of_weights_are_addresses_in_files(upernet):
    blocks = [
        *(f"pyramid_pooling/{part}" for part in ("scale_0", "scale_1", "scale_2", "scale_3", "bottleneck")),
        *(f"feature_pyramid/{part}_{level}" for part in ("lateral", "output") for level in (0, 1, 2)),
        *("level_fusion/bottleneck", "auxiliary_conv"),
    ]
    names = [f"norm/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")]
    expected = {f"{block}/{name}" for block in blocks for name in ("conv/kernel", *names)}
    expected |= {f"{head}/{name}" for head in ("pixel_head", "auxiliary_pixel_head") for name in ("kernel", "bias")}
    model = upernet()
    assert {w.path for w in model.weights} - {w.path for w in model.backbone.weights} == expected


# === Once is enough


@pytest.mark.once
def test_the_configuration_keeps_every_argument_and_change(upernet):
    heads = {"pool_scales": (1, 4), "drop_rate": 0.3, "activation": "softmax", "auxiliary_loss_weight": 0.2}
    model = upernet(heads, output_stride=16)
    model.get_layer("feature_pyramid").trainable = False
    model.get_layer("level_fusion").bottleneck.conv.enable_lora(2)
    again = UPerNet.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    assert [weight.path for weight in again.weights] == [weight.path for weight in model.weights]
    assert [weight.path for weight in again.trainable_weights] == [weight.path for weight in model.trainable_weights]


@pytest.mark.once
@pytest.mark.filterwarnings("ignore:Gradients do not exist for variables .'auxiliary:UserWarning")
def test_a_model_of_probabilities_learns_as_one_of_logits(smallest, randomize, normalized, label_maps):
    """Also inside another model, which trains it without its auxiliary head."""
    images, labels = normalized(2, 32, 40), label_maps(2, 32, 40)
    logits = randomize(smallest({"drop_rate": 0}))
    probabilities = smallest({"drop_rate": 0, "activation": "softmax"})
    probabilities.set_weights(logits.get_weights())
    inputs = keras.Input((32, 40, 3))
    nested = keras.Model(inputs, keras.layers.Softmax()(smallest({"drop_rate": 0})(inputs)))
    nested.set_weights(logits.get_weights())
    losses = []
    for model, from_logits in ((logits, True), (probabilities, False), (nested, False)):
        model.compile(keras.optimizers.SGD(0.1), SegmentationLoss(from_logits=from_logits))
        losses.append(model.fit(images, labels, epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
    main, both = losses[2][0], losses[0][0]
    assert 0 < main < both


@pytest.mark.once
def test_without_an_auxiliary_head(upernet):
    model = upernet({"auxiliary_hidden_size": 0})
    assert model.auxiliary_output is None
    assert not [weight.path for weight in model.weights if weight.path.startswith("auxiliary")]


@pytest.mark.once
def test_fuse_keeps_the_outputs(upernet, randomize, normalized):
    model, images = randomize(upernet()), normalized(1, 64, 64)
    fused = model.fuse()
    assert len(fused.weights) < len(model.weights)
    np.testing.assert_allclose(fused.predict(images, verbose=0), model.predict(images, verbose=0), rtol=1e-3, atol=1e-3)


@pytest.mark.once
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"level_norm": False}, "norm of each level.*level_norm=False. Make it with level_norm=True"),
        ({"depths": (1,), "dims": (4,)}, "at least two levels. Received: a backbone with P2 alone"),
        ({"heads": {"num_classes": 0}}, "`num_classes` must be an integer.*Received: num_classes=0"),
        ({"heads": {"pool_scales": (0,)}}, "`pool_scales`"),
        ({"heads": {"drop_rate": 1.0}}, "`drop_rate` must be at least 0 and below 1"),
        ({"heads": {"auxiliary_loss_weight": -1}}, "`auxiliary_loss_weight`"),
    ],
)
def test_refuses_wrong_arguments(upernet, changes, message):
    with pytest.raises(ValueError, match=message):
        upernet(**changes)


@pytest.mark.once
def test_refuses_another_backbone_and_small_images(upernet):
    with pytest.raises(ValueError, match=r"`backbone` must be a ConvNeXtBackbone\. Received: str"):
        UPerNet("convnext_tiny")
    with pytest.raises(ValueError, match="16x64 pixels are smaller than this network's stride of 32"):
        upernet().predict(np.zeros((1, 16, 64, 3)), verbose=0)


@pytest.mark.once
def test_a_backbone_built_on_other_layers(images):
    inputs = keras.Input((40, 40, 3), dtype="uint8")
    backbone = ConvNeXtBackbone((1, 1), (4, 8), level_norm=True, input_tensor=keras.layers.Resizing(20, 24)(inputs))
    model = UPerNet(backbone, 3, hidden_size=4, auxiliary_hidden_size=4)
    assert UPerNet.from_config(model.get_config()).predict(images(1, 40, 40, 3), verbose=0).shape == (1, 20, 24, 3)
