"""Torch's own functions for the parts of a block: each does in one pass what Keras's operations do in several.

Keras's layer norm is a mean, a variance and four products there; its linear layer adds the bias in a pass of its own.

This file imports torch: it is imported where the backend is torch.
"""

import torch
from torch.nn import functional

SLICE_BYTES, SLICE_PIXELS = 4 * 2**20, 1536
"""Of hidden activations at a time, the larger of both: they stay in the cache, and the matrix product is fast."""


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
    """`activation(x @ kernel + bias)` over the last axis; `activation` may be None."""
    y = functional.linear(x, kernel.t(), bias)
    return y if activation is None else activation(y)


def slices_pay(x):
    """Whether `mlp` is for x: on CPU, run once and not recorded for gradients, a trace or a compiler."""
    recorded = torch.is_grad_enabled() or torch.jit.is_tracing() or torch.compiler.is_compiling()
    return x.device.type == "cpu" and not recorded


def mlp(x, norm, first, grn, second, layer_scale):
    """`layer_scale(second(grn(first(norm(x)))))`, a slice of the pixels after the other.

    The hidden activations, four times as wide as x, never leave the cache. GRN needs whole images. `layer.call` is what
    `layer(...)` calls within a block, whose types and scopes hold; of so many slices the rest of it takes 4 %.

    Args:
        x: `(batch, height, width, channels)`.
        norm: `LayerNorm`.
        first: `PointwiseConv`, whose activation is GELU.
        grn: `GlobalResponseNormalization`, or None.
        second: `PointwiseConv`.
        layer_scale: `LayerScale`, or None.
    """
    first, second = first.weights_as_used(), second.weights_as_used()
    parts = x.reshape(-1, 1, 1, x.shape[-1]) if grn is None else x
    pixels = parts.shape[1] * parts.shape[2]
    slice_pixels = max(SLICE_PIXELS, SLICE_BYTES // first[1].nbytes)
    outputs = []
    for part in parts.split(max(1, slice_pixels // pixels)):
        hidden = torch.ops.aten.gelu_(_product(norm.call(part), *first))
        part = _product(hidden if grn is None else grn.call(hidden), *second)
        outputs.append(part if layer_scale is None else layer_scale.call(part))
    return torch.cat(outputs).view(x.shape)


def _product(x, kernel, bias):
    """`x @ kernel + bias`; in float32 by oneDNN, which adds the bias itself, as a compiled and frozen model does.

    Torch takes another library for float32, and has no public function for this one.
    """
    if x.dtype != torch.float32 or not torch.backends.mkldnn.is_available():
        return linear(x, kernel, bias, None)
    return torch.ops.mkldnn._linear_pointwise(x, kernel.t(), bias, "none", [], "")
