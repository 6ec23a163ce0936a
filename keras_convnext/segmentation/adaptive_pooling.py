"""Adaptive average pooling: to a given size from any size, as torch's `adaptive_avg_pool2d`."""

from keras import ops

from keras_convnext import kernels
from keras_convnext.segmentation.resampling import exact_dtype, resample
from keras_convnext.typing import Tensor


def adaptive_average_pool(x: Tensor, size: int) -> Tensor:
    """Averages a map over `size` times `size` windows, which may overlap.

    Of n rows, window i has the rows from `floor(i * n / size)` to `ceil((i + 1) * n / size)`, exclusive; likewise for
    columns. As the mean of a rectangle is the mean of the means of its rows, this is a product with one matrix for the
    rows and one for the columns, which works for sizes that are known only when the graph runs. It is computed in
    float32 at least.

    Args:
        x: tensor of shape `(batch, height, width, channels)`.
        size: height and width of the result, at least 1.

    Returns:
        A tensor of shape `(batch, size, size, channels)`, of the dtype of `x`.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.segmentation.adaptive_pooling import adaptive_average_pool
    >>> np.asarray(adaptive_average_pool(np.arange(9.0).reshape(1, 3, 3, 1), 2)).ravel().tolist()
    [2.0, 3.0, 5.0, 6.0]
    """
    x = ops.convert_to_tensor(x)
    rows, columns = (_means(count, size, exact_dtype(x)) for count in ops.shape(x)[1:3])
    return resample(x, rows, columns)


def _means(count, size, dtype):
    """The matrix whose row i averages the values of window i out of `count` values."""
    window = ops.arange(size, dtype="int32")[:, None]
    known = kernels.comparable_size(count)
    start, stop = window * known // size, ((window + 1) * known + size - 1) // size
    position = ops.arange(count, dtype="int32")[None]
    inside = ops.logical_and(position >= start, position < stop)
    return ops.cast(inside, dtype) / ops.cast(stop - start, dtype)
