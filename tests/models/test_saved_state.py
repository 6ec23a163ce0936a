"""What a user sets on a model after it was made goes with it through files, copies and pickles."""

import copy
import pickle

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.models import transfer

L = keras.layers


def classifier(**arguments):
    head = {name: arguments.pop(name) for name in ("activation", "head_hidden_size") if name in arguments}
    backbone = ConvNeXtBackbone(
        (1, 1), (4, 8), kernel_size=3, stem_patch_size=2, **{"input_shape": (8, 8, 3), **arguments}
    )
    return ConvNeXtClassifier(backbone, 3, **head)


def train_a_step(model, x):
    model.compile(keras.optimizers.AdamW(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, np.arange(len(x)) % 3, batch_size=len(x), verbose=0)


def through_a_file(model, folder):
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")


def copies(model, folder):
    yield through_a_file(model, folder)
    yield through_a_file(through_a_file(model, folder), folder)
    yield copy.deepcopy(model)
    yield pickle.loads(pickle.dumps(model))


def check_copies(model, folder):
    """Copies with the same weights, of which the same train, and the same state of the optimizer."""
    for copied in copies(model, folder):
        assert type(copied) is type(model)
        assert [w.path for w in copied.trainable_weights] == [w.path for w in model.trainable_weights]
        for mine, its in zip(model.get_weights(), copied.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, its)
        if model.compiled:
            assert int(copied.optimizer.iterations) == int(model.optimizer.iterations) == 1
            for mine, its in zip(model.optimizer.variables, copied.optimizer.variables, strict=True):
                np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(one.value) for one in (mine, its)))


def freeze_head(model):
    model.get_layer("head_norm").trainable = False
    model.get_layer("head_hidden").trainable = False


def freeze_norms(model):
    for layer in model._flatten_layers():
        if layer.name == "norm":
            layer.trainable = False


def train_the_last_block_alone(model):
    model.backbone.trainable = False
    model.get_layer("stage_1_block_0").trainable = True


def freeze_one_bias(model):
    model.get_layer("head").bias.trainable = False
    model.get_layer("stage_0_block_0").norm.gamma.trainable = False


@pytest.mark.once
@pytest.mark.parametrize("freeze", [freeze_head, freeze_norms, train_the_last_block_alone, freeze_one_bias])
def test_what_trains_is_kept_with_the_optimizer(freeze, images, tmp_path):
    model = classifier(head_hidden_size=5)
    freeze(model)
    assert 0 < len(model.trainable_weights) < len(model.weights)
    train_a_step(model, images(3, 8, 8, 3))
    check_copies(model, tmp_path)


def test_what_trains_is_kept_within_an_untrainable_model(tmp_path):
    """Nothing does; and what will, once the model is told to train its parts as they are."""
    model = classifier()
    model.trainable = False
    model.get_layer("head").trainable = True
    loaded = through_a_file(model, tmp_path)
    assert loaded.trainable_weights == []
    assert [layer.name for layer in loaded.layers if layer.weights and layer.trainable] == ["head"]


def test_a_backbone_keeps_what_trains_in_it(tmp_path):
    model = classifier().backbone
    model.trainable = False
    model.get_layer("stage_1_block_0").norm.trainable = True
    check_copies(model, tmp_path)
    assert through_a_file(model, tmp_path).get_layer("stage_1_block_0").norm.trainable


def test_an_input_keeps_its_name_type_and_batch(images, tmp_path):
    photo = keras.Input((8, 8, 3), dtype="uint8", name="photo", batch_size=2)
    model = classifier(input_shape=None, input_tensor=photo)
    x = {"photo": images(2, 8, 8, 3).astype("uint8")}
    expected = model.predict(x, verbose=0)
    for copied in copies(model, tmp_path):
        (image,) = copied.inputs
        assert (image.name, image.dtype, tuple(image.shape)) == ("photo", "uint8", (2, 8, 8, 3))
        np.testing.assert_allclose(copied.predict(x, verbose=0), expected, rtol=0, atol=1e-6)


def on_other_layers():
    photo = keras.Input((10, 10, 1), name="photo")
    image = L.BatchNormalization(name="adapted")(L.Conv2D(3, 1, name="to_rgb")(L.Resizing(8, 8)(photo)))
    return classifier(input_shape=None, input_tensor=L.RandomFlip(seed=1)(image))


@pytest.mark.once
def test_layers_before_the_image_are_part_of_the_model(images, tmp_path):
    model, x = on_other_layers(), images(3, 10, 10, 1)
    train_a_step(model, x)
    check_copies(model, tmp_path)
    check_copies(model.backbone, tmp_path)
    expected = model.predict(x, verbose=0)
    for copied in (through_a_file(model, tmp_path), model.fuse()):
        np.testing.assert_allclose(copied.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)


def test_two_inputs_before_the_image(images, numpy_of, tmp_path):
    color, depth = keras.Input((8, 8, 3), name="color"), keras.Input((8, 8, 1), name="depth")
    model = classifier(input_shape=None, input_tensor=L.Concatenate()([color, depth]))
    x = [images(2, 8, 8, 3), images(2, 8, 8, 1)]
    loaded = through_a_file(model, tmp_path)
    np.testing.assert_allclose(numpy_of(lambda: loaded(x)), numpy_of(lambda: model(x)), rtol=1e-5, atol=1e-5)


def test_transfer_keeps_the_layers_before_and_refuses_another_input():
    model = on_other_layers()
    assert transfer(model, num_classes=2).input_shape == (None, 10, 10, 1)
    with pytest.raises(ValueError, match=r"built on the output of other layers.*to_rgb.*Leave out `input_shape`"):
        transfer(model, num_classes=2, input_shape=(16, 16, 3))


def test_settings_of_layers_are_kept(images, tmp_path):
    model = classifier(activation="softmax")
    model.get_layer("head").activation = keras.activations.sigmoid
    model.get_layer("stage_1_block_0").drop_path.rate = 0.25
    model.get_layer("head_norm").epsilon = 1e-2
    x = images(2, 8, 8, 3)
    expected = model.predict(x, verbose=0)
    for copied in copies(model, tmp_path):
        np.testing.assert_allclose(copied.predict(x, verbose=0), expected, rtol=0, atol=1e-6)
        assert copied.get_layer("stage_1_block_0").drop_path.rate == 0.25


@pytest.mark.once
def test_low_rank_adapters_are_kept(images, tmp_path):
    """Keras saves a kernel with the adapters added to it, and loads adapters of zeros: the outputs are the same."""
    model = classifier()
    model.get_layer("head").enable_lora(2)
    model.get_layer("stage_0_block_0").pointwise_conv_1.enable_lora(2)
    x = images(3, 8, 8, 3)
    train_a_step(model, x)
    expected = model.predict(x, verbose=0)
    for copied in copies(model, tmp_path):
        assert [w.path for w in copied.trainable_weights] == [w.path for w in model.trainable_weights]
        assert int(copied.optimizer.iterations) == 1
        np.testing.assert_allclose(copied.predict(x, verbose=0), expected, rtol=0, atol=1e-5)
