"""A block on torch's CPU without gradients, for a few images at a time, or for a slice of the pixels of large images.

The arrays between two operations, such as the hidden activations, which are four times as wide as the input, never
leave the cache. One pass applies layer scale to the output of a slice, adds the residual, and writes the result.
"""

from functools import cache

import torch

from keras_convnext.kernels.reference import gelu
from keras_convnext.kernels.torch.depthwise_conv import depthwise_conv
from keras_convnext.kernels.torch.observers import sees_operations

THREAD_BYTES, THREAD_PIXELS = 4 * 2**20, 784
"""Hidden activations of a slice per thread, the larger of both: they fit the cache, and the product is fast."""

ONEDNN_WEIGHT_BYTES = 2**20
"""Float32 weights up to this size are multiplied by oneDNN, larger ones by torch's own product."""

IN_PLACE = {gelu: torch.ops.aten.gelu_}
"""Activations that write their output over their input. Other activations allocate their output."""

KEPT_BLOCK_BYTES = 32 * 2**20 - 2 * 4096
"""The largest block after whose release glibc assumes that the program needs such blocks again (mallopt(3))."""


@cache
def keep_freed_memory():
    """Makes glibc keep up to 64 MiB that the process frees, because writing to new memory is slower than some products.

    glibc does so after the first block of this size is freed, even if nothing was written to it. Training a model or
    loading an array may have freed such a block before. With other C libraries this function has no effect.
    """
    torch.empty(KEPT_BLOCK_BYTES, dtype=torch.uint8)


def serves(x):
    """Whether x is on the CPU, nothing is recorded for gradients, and nothing observes single operations."""
    return not torch.is_grad_enabled() and x.device.type == "cpu" and not sees_operations(x)


def block(x, weights, settings):
    """A block without stochastic depth: see the reference."""
    keep_freed_memory()
    activation = IN_PLACE.get(settings.activation, settings.activation)
    at_a_time = torch.get_num_threads() * max(THREAD_PIXELS, THREAD_BYTES // weights.bias_1.nbytes)

    def add_mlp(x, y, out):
        y = settings.norm(y, weights.gamma, weights.beta, epsilon=settings.epsilon)
        hidden = activation(_product(y, weights.kernel_1, weights.bias_1))
        if weights.grn_gamma is not None:
            _grn_(hidden, weights.grn_gamma, weights.grn_beta, settings.grn_epsilon)
        _add_scaled(x, _product(hidden, weights.kernel_2, weights.bias_2), weights.layer_scale, out)

    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    for x_images, out_images in zip(*_slices(at_a_time, x, out), strict=True):
        y = depthwise_conv(x_images, weights.depthwise_kernel, weights.depthwise_bias, dilation=settings.dilation)
        maps = x_images, y, out_images
        if weights.grn_gamma is None:  # GRN needs whole images
            maps = _slices(at_a_time, *(part.reshape(-1, 1, 1, x.shape[-1]) for part in maps))
            for parts in zip(*maps, strict=True):
                add_mlp(*parts)
        else:
            add_mlp(*maps)
    return out


def patch_embed(x, kernel, bias, norm):
    """Computes `norm`, then a patch convolution, for a few images at a time.

    Args:
        x: `(batch, height, width, channels)`.
        kernel: `(side, side, channels, filters)`.
        bias: `(filters,)` or None.
        norm: function of x.
    """
    side, filters = kernel.shape[0], kernel.shape[-1]
    kernel = kernel.reshape(-1, filters)
    down, across = x.shape[1] // side, x.shape[2] // side
    out = x.new_empty((x.shape[0], down, across, filters))
    for x_images, out_images in zip(*_slices(torch.get_num_threads() * THREAD_PIXELS, x, out), strict=True):
        whole = norm(x_images)[:, : down * side, : across * side]
        patches = whole.unflatten(2, (across, side)).unflatten(1, (down, side)).transpose(2, 3)
        patches, pixels = patches.reshape(-1, kernel.shape[0]), out_images.view(-1, filters)
        if bias is None:
            torch.mm(patches, kernel, out=pixels)
        else:
            torch.addmm(bias, patches, kernel, out=pixels)
    return out


def _slices(pixels, *maps):
    """Splits each map into slices of equally many images, with about `pixels` pixels each."""
    images = maps[0].shape[0]
    count = max(1, min(images, round(maps[0].shape[:-1].numel() / pixels)))
    return [part.split(-(-images // count)) for part in maps]


def _product(x, kernel, bias):
    """`x @ kernel + bias`, by oneDNN where it is faster than torch's own product.

    Torch has no public function for oneDNN's product. This one is what a compiled and frozen model calls.
    """
    rows = x.reshape(-1, x.shape[-1])
    small = kernel.nbytes <= ONEDNN_WEIGHT_BYTES or x.dtype == torch.bfloat16
    if small and x.dtype in _onednn_types():
        y = torch.ops.mkldnn._linear_pointwise(rows, kernel.t(), bias, "none", [], "")
    else:
        y = torch.addmm(bias, rows, kernel)
    return y.view(*x.shape[:-1], kernel.shape[1])


@cache
def _onednn_types():
    """The types that oneDNN multiplies on this machine; none if this torch lacks oneDNN's product."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return ()
    return (torch.float32, torch.bfloat16) if torch.ops.mkldnn._is_mkldnn_bf16_supported() else (torch.float32,)


def _grn_(x, gamma, beta, epsilon):
    """Global Response Normalization in place, its norms in float32 at least."""
    norm = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32))
    factor = 1 + norm / (norm.mean(-1, keepdim=True) + epsilon) * gamma
    x.mul_(factor.to(x.dtype)).add_(beta.to(x.dtype))


def _add_scaled(x, y, scale, out):
    """`out = x + scale * y`; `scale` may be None. float16 has few bits for 1e-6, so its product is in float32."""
    if scale is None:
        torch.add(x, y, out=out)
    elif x.dtype == torch.float16:
        torch.add(x, (y * scale).to(x.dtype), out=out)
    else:
        torch.addcmul(x, y, scale.to(x.dtype), out=out)
