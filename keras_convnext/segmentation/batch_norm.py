"""Batch normalization (arXiv:1502.03167) with the moving statistics of torch."""

from typing import Any

import keras
from keras import ops

from keras_convnext.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalization whose moving variance averages the unbiased variance, as torch's does.

        moving_variance = momentum * moving_variance + (1 - momentum) * variance * n / (n - 1)

    Here n is the number of values per channel: batch size times height times width. Keras averages the variance without
    the factor `n / (n - 1)`. The two differ where n is small, as after a pooling to one pixel, where n is the batch
    size.

    Args:
        momentum: share of the old value in a moving average, in [0, 1]: one minus torch's. Defaults to 0.9.
        epsilon: keeps the division finite. Defaults to 1e-5.
        **kwargs: as for `keras.layers.BatchNormalization`, such as `name` and `dtype`.

    Shapes: any; the channels are the last axis.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.segmentation.batch_norm import BatchNorm
    >>> layer = BatchNorm(momentum=0.0)
    >>> _ = layer(np.array([[1.0], [3.0]]), training=True)
    >>> float(layer.moving_variance[0])
    2.0
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs: Any):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        kept = self.momentum * self.moving_variance
        outputs = super().call(inputs, training=training, mask=mask)
        added = self.moving_variance - kept
        count = 1
        for size in ops.shape(inputs)[:-1]:
            count = count * size
        self.moving_variance.assign(self.moving_variance + added / ops.maximum(ops.cast(count, added.dtype) - 1, 1))
        return outputs
