"""Resampling a map by two matrices: one for its rows, one for its columns."""

from keras import ops

from keras_convnext.typing import Tensor


def resample(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Computes `rows @ x @ columns.T` for each channel of each map, in the dtype of the matrices.

    Args:
        x: tensor of shape `(batch, height, width, channels)`.
        rows: matrix of shape `(new height, height)`.
        columns: matrix of shape `(new width, width)`.

    Returns:
        A tensor of shape `(batch, new height, new width, channels)`, of the dtype of `x`.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.segmentation.resampling import resample
    >>> x = np.arange(4.0).reshape(1, 2, 2, 1)
    >>> np.asarray(resample(x, np.array([[0.5, 0.5]]), np.eye(2))).ravel().tolist()
    [1.0, 2.0]
    """
    x, rows, columns = map(ops.convert_to_tensor, (x, rows, columns))
    batch, height, width, channels = ops.shape(x)
    y = ops.matmul(rows, ops.reshape(ops.cast(x, rows.dtype), (batch, height, width * channels)))
    y = ops.reshape(y, (batch, ops.shape(rows)[0], width, channels))
    return ops.cast(ops.matmul(columns, y), x.dtype)


def exact_dtype(x: Tensor) -> str:
    """The dtype for the matrices: float32, or float64 for a map of that dtype."""
    return "float64" if ops.dtype(x) == "float64" else "float32"
