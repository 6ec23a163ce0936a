"""The parts of UPerNet's heads against torch."""

import numpy as np
import pytest
from keras import ops

from keras_convnext.segmentation.adaptive_pooling import adaptive_average_pool
from keras_convnext.segmentation.batch_norm import BatchNorm
from keras_convnext.segmentation.resize import resize_bilinear


@pytest.mark.parametrize(("height", "width"), [(1, 2), (7, 5), (16, 13)])
@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_adaptive_pooling_equals_torchs(rng, height, width, size):
    import torch

    x = rng.normal(size=(2, height, width, 3)).astype("float32")
    expected = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()), size)
    found = ops.convert_to_numpy(adaptive_average_pool(x, size))
    np.testing.assert_allclose(found, expected.numpy().transpose(0, 2, 3, 1), atol=1e-6)


@pytest.mark.parametrize("size", [(2, 3), (9, 8), (5, 20)])
def test_resizing_equals_torchs(rng, size):
    """To smaller maps too: a scale of the pooling may have more windows than the map has pixels."""
    import torch

    x = rng.normal(size=(2, 5, 7, 3)).astype("float32")
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(x.transpose(0, 3, 1, 2).copy()), size=size, mode="bilinear", align_corners=False
    )
    found = ops.convert_to_numpy(resize_bilinear(ops.convert_to_tensor(x), size))
    np.testing.assert_allclose(found, expected.numpy().transpose(0, 2, 3, 1), atol=1e-5)
    unknown = tuple(ops.convert_to_tensor(side) for side in size)
    np.testing.assert_allclose(
        ops.convert_to_numpy(resize_bilinear(ops.convert_to_tensor(x), unknown)), found, atol=1e-5
    )


@pytest.mark.parametrize("shape", [(3, 1, 1, 4), (2, 5, 7, 4)])
def test_batch_norm_equals_torchs_in_both_modes(rng, shape):
    import torch

    x = (2 + 3 * rng.normal(size=shape)).astype("float32")
    layer, theirs = BatchNorm(), torch.nn.BatchNorm2d(4)
    for training in (True, True, False):
        theirs.train(training)
        with torch.no_grad():
            expected = theirs(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy().transpose(0, 2, 3, 1)
        np.testing.assert_allclose(ops.convert_to_numpy(layer(x, training=training)), expected, atol=1e-5)
    np.testing.assert_allclose(np.asarray(layer.moving_mean), theirs.running_mean, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(layer.moving_variance), theirs.running_var, rtol=1e-5)


def test_batch_norm_of_one_value_per_channel_is_finite():
    layer = BatchNorm()
    assert np.isfinite(ops.convert_to_numpy(layer(np.full((1, 1, 1, 2), 7.0), training=True))).all()
    assert np.isfinite(np.asarray(layer.moving_variance)).all()
