"""Torch's own functions for the parts of a block: each does in one pass what Keras's operations do in several.

Keras's layer norm is a mean, a variance and four products there; its linear layer adds the bias in a pass of its own.

This file imports torch: it is imported where the backend is torch.
"""

import torch
from torch.nn import functional


def depthwise_conv(x, kernel, bias, dilation):
    """Convolves at stride 1 with "same" padding, on channels-last memory without a copy.

    Args:
        x: `(batch, height, width, channels)`.
        kernel: `(side, side, channels, 1)`, `side` odd.
        bias: `(channels,)` or None.
        dilation: int, the distance of the taps.
    """
    y = functional.conv2d(
        x.permute(0, 3, 1, 2),
        kernel.permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last),
        bias,
        padding=kernel.shape[0] // 2 * dilation,
        dilation=dilation,
        groups=x.shape[-1],
    )
    return y.permute(0, 2, 3, 1)


def layer_norm(x, gamma, beta, epsilon):
    """Normalizes the last axis; sums are float32 at least, and gamma and beta too where torch takes them so."""
    if x.is_cuda:
        gamma, beta = gamma.to(x.dtype), beta.to(x.dtype)
    return functional.layer_norm(x, gamma.shape, gamma, beta, epsilon)


def linear(x, kernel, bias, activation):
    """`activation(x @ kernel + bias)` over the last axis; both may be None."""
    y = functional.linear(x, kernel.t(), bias)
    return y if activation is None else activation(y)
