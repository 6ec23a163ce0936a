"""The options of the classifier's head: dropout, pooling, and a new last layer; timm's are the same."""

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtClassifier, load_checkpoint
from keras_convnext.extras import import_torchvision
from keras_convnext.models import load_model

ARGUMENTS = {"depths": (1, 1), "dims": (8, 16), "input_shape": (16, 16, 3)}


@pytest.fixture
def backbone(small_backbone):
    return small_backbone(**ARGUMENTS)


def test_dropout_drops_before_the_last_layer_in_training_alone(backbone, randomize, images):
    model = randomize(ConvNeXtClassifier(backbone, 3, drop_rate=0.5))
    x = images(2, 16, 16, 3)
    outputs = [keras.ops.convert_to_numpy(model(x, training=mode)) for mode in (False, False, True, True)]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert np.abs(outputs[2] - outputs[3]).max() > 1e-3
    assert model.get_layer("head_dropout").rate == 0.5


@pytest.mark.parametrize(
    ("norm_first", "pool"),
    # timm's own model fails without pooling where the norm is first
    [(False, "avg"), (False, "max"), (False, "avgmax"), (False, None), (True, "avg"), (True, "max"), (True, "avgmax")],
)
def test_pooling_is_timms(pool, norm_first, images, numpy_of, tmp_path):
    """The whole model against timm's, with timm's random weights, through a file."""
    import_torchvision()  # before timm does
    import timm
    import torch

    torch.manual_seed(0)
    name = "convnext_tiny_hnf" if norm_first else "convnext_atto"
    small = {"depths": (1, 1, 1, 1), "dims": (4, 8, 8, 16)}
    theirs = timm.create_model(name, num_classes=3, global_pool=pool or "", **small).eval()
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    ours = ConvNeXtClassifier.from_preset(
        name, num_classes=3, global_pool=pool, input_shape=(64, 64, 3), include_preprocessing=False, **small
    )
    load_checkpoint(ours, tmp_path / "weights.pth")
    x = images(2, 64, 64, 3) / 255
    with torch.no_grad():
        expected = theirs(torch.tensor(x).permute(0, 3, 1, 2)).numpy()
    expected = expected.transpose(0, 2, 3, 1) if pool is None else expected
    np.testing.assert_allclose(numpy_of(ours, x), expected, rtol=1e-4, atol=1e-5)


def test_a_map_is_channels_first_where_the_backbone_is(small_backbone):
    backbone = small_backbone(**{**ARGUMENTS, "input_shape": (3, 16, 16)}, data_format="channels_first")
    assert ConvNeXtClassifier(backbone, 5, global_pool=None).output_shape == (None, 5, 2, 2)


def test_both_are_saved(backbone, tmp_path):
    ConvNeXtClassifier(backbone, 3, drop_rate=0.25, global_pool="avgmax").save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert (loaded.drop_rate, loaded.global_pool) == (0.25, "avgmax")
    assert loaded.get_layer("head_pool").pooling == "avgmax"


@pytest.mark.parametrize(
    ("argument", "value"), [("drop_rate", 1.0), ("drop_rate", -0.1), ("global_pool", "mean"), ("global_pool", "")]
)
def test_refuses_what_is_out_of_range(backbone, argument, value):
    with pytest.raises(ValueError, match=rf"`{argument}` must be .* Received: {argument}="):
        ConvNeXtClassifier(backbone, 3, **{argument: value})


def test_reset_classifier_keeps_all_but_the_last_layer(backbone, randomize):
    old = randomize(ConvNeXtClassifier(backbone, 5, head_hidden_size=4, activation="softmax", drop_rate=0.1))
    new = old.reset_classifier(3, head_init_scale=0.0, global_pool="max")
    assert (new.num_classes, new.activation, new.drop_rate, new.global_pool) == (3, None, 0.1, "max")
    assert new.backbone is old.backbone
    values = {weight.path: keras.ops.convert_to_numpy(weight.value) for weight in old.weights}
    for weight in new.weights:
        expected = np.zeros(weight.shape) if weight.path.startswith("head/") else values[weight.path]
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight.value), expected, err_msg=weight.path)
    assert new.reset_classifier(0).output_shape == (None, 4)


@pytest.mark.parametrize("change", [lambda layer: layer.quantize("int8"), lambda layer: layer.enable_lora(2)])
def test_a_changed_hidden_layer_is_refused_for_a_new_last_layer(backbone, change):
    """Keras names an integer weight `kernel` too: it would become a float kernel."""
    model = ConvNeXtClassifier(backbone, 3, head_hidden_size=8)
    change(model.get_layer("head_hidden"))
    with pytest.raises(ValueError, match=r"Cannot reset the head of a model with (quantized|LoRA).*head_hidden"):
        model.reset_classifier(2)
