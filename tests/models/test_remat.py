"""Recomputation in the backward pass: gradients and training as without it, with stochastic depth on."""

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtClassifier
from keras_convnext.kernels.shared import microbatches
from keras_convnext.layers.recomputed import recomputed

# Of its two blocks the second has a rate of 0.5.
DROPPING = {"depths": (1, 1), "dims": (8, 16), "drop_path_rate": 0.5, "input_shape": (16, 16, 3)}


@pytest.fixture(params=[1, 4], ids=["whole", "parts"])
def pair(request, monkeypatch, small_backbone, randomize, set_masks, version):
    """Two classifiers of the same weights that draw the same masks, without and with recomputation.

    The CPU recomputes the first block whole, or in that many parts.
    """
    monkeypatch.setattr(microbatches, "PART_BYTES", 8 * 4 * 4 * 8 * 4 / request.param)
    kept, recomputed = (
        ConvNeXtClassifier(small_backbone(version, **DROPPING, remat=remat), 5) for remat in (False, True)
    )
    recomputed.set_weights(randomize(kept, deviation=0.1).get_weights())
    for model in (kept, recomputed):
        set_masks(model)
    return kept, recomputed


def test_gradients_are_equal(pair, gradients, images, rng):
    x, cotangent = images(8, 16, 16, 3), rng.normal(size=(8, 5)).astype("float32")
    (in_x, in_weights), (again_in_x, again_in_weights) = (gradients(model, x, cotangent) for model in pair)
    np.testing.assert_allclose(again_in_x, in_x, rtol=1e-4, atol=1e-5 * np.abs(in_x).max())
    for weight, again, gradient in zip(pair[0].trainable_variables, again_in_weights, in_weights, strict=True):
        largest = np.abs(gradient).max()
        assert largest > 1e-4, weight.path
        np.testing.assert_allclose(again, gradient, rtol=1e-4, atol=1e-5 * largest, err_msg=weight.path)


def test_both_draw_masks_that_drop_a_part_of_the_batch(pair, stochastic_depths):
    """Else the other tests would not see masks that are drawn anew."""
    (kept,), (recomputed,) = (stochastic_depths(model) for model in pair)
    masks = [keras.ops.convert_to_numpy(layer(np.ones((8, 1)), training=True)) for layer in (kept, recomputed)]
    np.testing.assert_array_equal(*masks)
    assert 0 < (masks[0] == 0).sum() < 8


class Scaled(keras.layers.Layer):
    """Its input times a weight, recomputed."""

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=input_shape[-1:], initializer="ones")

    def call(self, inputs):
        return recomputed(lambda x: x * keras.ops.cast(self.scale, x.dtype), [self.scale], inputs)


def test_parts_are_added_up_in_float32(gradients, monkeypatch):
    """In bfloat16 a sum of ones ends at 256."""
    monkeypatch.setattr(microbatches, "PART_BYTES", 1)
    ones = np.ones((300, 1, 1, 4), "float32")
    layer = Scaled(dtype="mixed_bfloat16")
    layer.build(ones.shape)
    _, (in_scale,) = gradients(layer, ones, ones)
    np.testing.assert_array_equal(in_scale, np.full(4, 300.0))


@pytest.mark.once
def test_an_epoch_gives_equal_weights(pair, images, rng):
    x, y = images(8, 16, 16, 3), rng.normal(size=(8, 5)).astype("float32")
    before = pair[0].get_weights()
    for model in pair:
        model.compile(keras.optimizers.SGD(0.01), "mse")
        model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    kept, recomputed = pair
    for weight, old, new, again in zip(kept.weights, before, kept.get_weights(), recomputed.get_weights(), strict=True):
        assert np.abs(new - old).max() > 1e-5, weight.path
        np.testing.assert_allclose(again, new, rtol=0, atol=1e-5, err_msg=weight.path)
