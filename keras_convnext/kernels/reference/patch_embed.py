"""The stem and the layers between the stages: a linear layer over patches, with a norm."""

from collections.abc import Callable

from keras import ops

from keras_convnext.kernels.reference.functions import linear, patches
from keras_convnext.kernels.shared.exporting import is_exporting
from keras_convnext.typing import Tensor


def composed_patch_embed(linear: Callable) -> Callable:
    """Returns a `patch_embed` that computes with the given `linear`."""

    def patch_embed(
        x: Tensor,
        kernel: Tensor,
        bias: Tensor | None,
        gamma: Tensor | None = None,
        beta: Tensor | None = None,
        *,
        norm: Callable | None = None,
        epsilon: float | None = None,
        norm_first: bool = False,
        training: bool = False,
    ) -> Tensor:
        """A convolution whose stride equals its kernel size, as a linear layer over patches, and a norm.

        Args:
            x: `(batch, height, width, channels)`.
            kernel: `(side, side, channels, filters)`.
            bias: `(filters,)` or None.
            gamma: weight of the norm. Defaults to None.
            beta: weight of the norm. Defaults to None.
            norm: one of the norms here, such as `layer_norm`; None for no norm. Defaults to None.
            epsilon: epsilon of the norm. Defaults to None.
            norm_first: whether the norm precedes the convolution. Defaults to False.
            training: whether gradients are likely to follow. Defaults to False.

        Returns:
            `(batch, height // side, width // side, filters)`.

        Example:

        >>> from keras import ops
        >>> from keras_convnext import kernels
        >>> tuple(kernels.patch_embed(ops.ones((1, 32, 32, 3)), ops.ones((4, 4, 3, 96)), None).shape)
        (1, 8, 8, 96)
        """
        if norm is not None and norm_first:
            x = norm(x, gamma, beta, epsilon=epsilon, training=training)
        side, filters = kernel.shape[0], kernel.shape[-1]
        if is_exporting():
            y = ops.conv(x, kernel, strides=side, padding="valid", data_format="channels_last")
            y = y if bias is None else y + bias
        else:
            y = linear(patches(x, side), ops.reshape(kernel, (-1, filters)), bias, training=training)
        return y if norm is None or norm_first else norm(y, gamma, beta, epsilon=epsilon, training=training)

    return patch_embed


patch_embed = composed_patch_embed(linear)
