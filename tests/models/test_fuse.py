"""The form for inference: layer scale folded, outputs as before."""

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtClassifier
from keras_convnext.layers import LayerScale


@pytest.fixture
def model(small_backbone, randomize, version):
    backbone = small_backbone(version, depths=(1, 2), dims=(8, 16), input_shape=(24, 20, 3), level_norm=True)
    return randomize(ConvNeXtClassifier(backbone, 5))


def test_outputs_are_equal(model, images, numpy_of):
    x = images(3, 24, 20, 3)
    expected = numpy_of(model, x)
    found = numpy_of(model.fuse(), x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    assert np.abs(expected).max() > 0.1


def test_no_layer_scale_is_left_and_the_model_stays_as_it_was(model):
    before = model.get_weights()
    fused = model.fuse()
    assert not any(isinstance(layer, LayerScale) for layer in fused._flatten_layers())
    assert {weight.path for weight in model.weights} - {weight.path for weight in fused.weights} == {
        weight.path for weight in model.weights if "layer_scale" in weight.path
    }
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_it_is_saved_whole(model, images, numpy_of, tmp_path):
    fused = model.fuse()
    fused.save(tmp_path / "fused.keras")
    x = images(2, 24, 20, 3)
    np.testing.assert_array_equal(numpy_of(keras.saving.load_model(tmp_path / "fused.keras"), x), numpy_of(fused, x))


def test_the_backbone_alone_folds_too(model, images, numpy_of):
    x = images(2, 24, 20, 3)
    expected = numpy_of(model.backbone, x)
    found = numpy_of(model.backbone.fuse(), x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_an_activation_before_the_layer_scale_is_refused(small_backbone):
    backbone = small_backbone()
    backbone.get_layer("stage_0_block_0").pointwise_conv_2.activation = keras.activations.relu
    with pytest.raises(ValueError, match="stage_0_block_0 has an activation after pointwise_conv_2"):
        backbone.fuse()
