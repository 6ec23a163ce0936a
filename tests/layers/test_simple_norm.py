"""SimpleNorm against NumPy and timm's own: values, gradients, types."""

import keras
import numpy as np
import pytest

from keras_convnext.extras import import_torchvision
from keras_convnext.layers.rms_norm import RmsNorm
from keras_convnext.layers.simple_norm import SimpleNorm

SHAPES = [(2, 5, 4, 6), (3, 7), (1, 1, 1, 2)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_formula(randomize, formulas, numpy_of, rng, shape):
    layer = SimpleNorm(epsilon=1e-2)
    layer.build(shape)
    randomize(layer)
    x = (0.3 + rng.normal(size=shape)).astype("float32")
    np.testing.assert_allclose(numpy_of(layer, x), formulas.simple_norm(x, layer.get_weights()[0], 1e-2), rtol=1e-5)


@pytest.mark.parametrize(("ours", "theirs"), [(SimpleNorm, "SimpleNorm"), (RmsNorm, "RmsNorm")])
def test_equals_that_of_timm_and_its_gradients(randomize, numpy_of, gradients, rng, ours, theirs):
    import_torchvision()
    import torch
    from timm import layers

    layer = ours(epsilon=1e-3)
    layer.build((2, 5, 4, 6))
    randomize(layer)
    x, cotangent = (0.5 + rng.normal(size=(2, 5, 4, 6)).astype("float32") for _ in range(2))
    in_x, (in_gamma,) = gradients(layer, x, cotangent)
    for name, axes in ((theirs, (0, 1, 2, 3)), (f"{theirs}2d", (0, 3, 1, 2))):  # of channels-last maps and of others
        peer = getattr(layers, name)(6, eps=1e-3)
        peer.weight.data = torch.tensor(layer.get_weights()[0])
        maps = torch.tensor(x, requires_grad=True)
        y = peer(maps.permute(axes)).permute(tuple(np.argsort(axes)))
        np.testing.assert_allclose(numpy_of(layer, x), y.detach().numpy(), rtol=1e-5, atol=1e-6)
        expected = torch.autograd.grad((y * torch.tensor(cotangent)).sum(), [maps, peer.weight])
        np.testing.assert_allclose(in_x, expected[0].numpy(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(in_gamma, expected[1].numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_squares_do_not_leave_the_range_of_half_precision(numpy_of, rng, dtype):
    x = 1000 * rng.normal(size=(2, 3, 3, 8)).astype("float32")
    found = numpy_of(keras.ops.cast, SimpleNorm(dtype=dtype)(x), "float32")
    np.testing.assert_allclose(found, numpy_of(SimpleNorm(), x), rtol=0.02)


def test_refuses_a_single_channel():
    with pytest.raises(ValueError, match=r"two channels or more.*\(2, 1\)"):
        SimpleNorm()(np.ones((2, 1), "float32"))
