"""The patch convolution and the norm of a stem or a downsampling layer, in one kernel."""

import keras
from keras import ops

from keras_convnext import kernels
from keras_convnext.layers.patch_conv import PatchConv
from keras_convnext.typing import Tensor


def patch_embed(
    x: Tensor, conv: PatchConv, norm: keras.layers.Layer | None, *, norm_first: bool, training: bool | None = None
) -> Tensor:
    """Computes a patch convolution and a norm in one kernel, without calling the two layers.

    Args:
        x: `(batch, height, width, channels)`.
        conv: the convolution, which must be built.
        norm: a layer of `norm.NORMS`, which must be built; None for no norm.
        norm_first: whether the norm precedes the convolution.
        training: whether gradients are likely to follow. Defaults to None, which means False.

    Returns:
        `(batch, height // side, width // side, filters)`, for patches of `side` pixels.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.layers.layer_norm import LayerNorm
    >>> from keras_convnext.layers.patch_conv import PatchConv
    >>> from keras_convnext.layers.patch_embed import patch_embed
    >>> conv, norm = PatchConv(16, patch_size=2), LayerNorm()
    >>> conv.build((None, 8, 8, 4))
    >>> norm.build((None, 8, 8, 4))
    >>> tuple(patch_embed(np.ones((1, 8, 8, 4), "float32"), conv, norm, norm_first=True).shape)
    (1, 4, 4, 16)
    """
    kernel, bias, gamma, beta = (
        None if weight is None else ops.convert_to_tensor(weight)
        for weight in (conv.kernel, conv.bias, getattr(norm, "gamma", None), getattr(norm, "beta", None))
    )
    return kernels.patch_embed(
        ops.convert_to_tensor(x),
        kernel,
        bias,
        gamma,
        beta,
        norm=norm and norm.function,
        epsilon=norm and norm.epsilon,
        norm_first=norm_first,
        training=bool(training),
    )
