"""The layers on torch's CPU without gradients: a few images after the other, and of large ones a slice of their pixels.

What stands between two layers, such as the hidden activations, four times as wide as a block's, never leaves the cache.
What a slice gives goes to its place in the output, with the layer scale and the residual, in one pass.

This file imports torch: it is imported where the backend is torch.
"""

from functools import cache, partial

import torch
from keras import ops

from keras_convnext.layers.gelu import gelu
from keras_convnext.layers.layer_norm import LayerNorm
from keras_convnext.layers.plain_parts import are_plain
from keras_convnext.layers.torch_functions import depthwise_conv, layer_norm
from keras_convnext.layers.torch_modes import is_observed

THREAD_BYTES, THREAD_PIXELS = 4 * 2**20, 784
"""Of hidden activations at a time and thread, the larger of both: they stay in the cache, and the product is fast."""

ONEDNN_WEIGHT_BYTES = 2**20
"""Float32 weights up to this size are multiplied by oneDNN, larger ones by torch's own product."""

IN_PLACE = {gelu: torch.ops.aten.gelu_}
"""Activations that write their output over their input. Others take memory of their own."""

KEPT_BLOCK_BYTES = 32 * 2**20 - 2 * 4096
"""The largest block that glibc takes for a sign that the program needs such blocks again (mallopt(3))."""


@cache
def keep_freed_memory():
    """Has glibc keep up to 64 MiB of what the process frees. To write into new memory takes longer than some products.

    It does from when the first block of this size is freed, which need not be written to; a model trained, or an array
    loaded, may have done so already. Elsewhere it does nothing.
    """
    torch.empty(KEPT_BLOCK_BYTES, dtype=torch.uint8)


def serves(layer, x):
    """Whether x is on the CPU, nothing is recorded for gradients, and nobody looks at the parts of the layer.

    Args:
        layer: the layer that is called.
        x: its input.
    """
    if torch.is_grad_enabled() or x.device.type != "cpu":
        return False
    parts = list(layer._flatten_layers(include_self=False, recursive=False))
    return not is_observed(x, parts) and are_plain(layer, parts)


def block(layer, x):
    """The output of a `ConvNeXtBlock` without drop path.

    Args:
        layer: the block, within its call: its types and scopes hold.
        x: `(batch, height, width, channels)`.
    """
    keep_freed_memory()
    conv = *_weights(layer.depthwise_conv, "kernel", "bias"), layer.depthwise_conv.dilation_rate
    norm = _norm(layer.norm)
    activation = IN_PLACE.get(layer.pointwise_conv_1.activation, layer.pointwise_conv_1.activation)
    first = _weights(layer.pointwise_conv_1, "kernel", "bias")
    second = _weights(layer.pointwise_conv_2, "kernel", "bias")
    grn = layer.grn and (*_weights(layer.grn, "gamma", "beta"), layer.grn.epsilon)
    scale = layer.layer_scale and layer.layer_scale.gamma.value
    at_a_time = torch.get_num_threads() * max(THREAD_PIXELS, THREAD_BYTES // first[1].nbytes)

    def add_mlp(x, y, out):
        hidden = activation(_product(norm(y), *first))
        if grn is not None:
            _grn_(hidden, *grn)
        _add_scaled(x, _product(hidden, *second), scale, out)

    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    for x_images, out_images in zip(*_slices(at_a_time, x, out), strict=True):
        maps = x_images, depthwise_conv(x_images, *conv), out_images
        if grn is None:  # which needs whole images
            maps = _slices(at_a_time, *(part.reshape(-1, 1, 1, x.shape[-1]) for part in maps))
            for parts in zip(*maps, strict=True):
                add_mlp(*parts)
        else:
            add_mlp(*maps)
    return out


def stem(layer, x):
    """The output of a `Stem` of kind "patchify" that has a norm.

    Args:
        layer: the stem, within its call.
        x: `(batch, height, width, channels)`.
    """
    (conv,) = layer.convs
    return _norm(layer.norm)(_by_patches(conv, x))


def downsample(layer, x):
    """The output of a `Downsample` that halves the map.

    Args:
        layer: the layer, within its call.
        x: `(batch, height, width, channels)`.
    """
    return _by_patches(layer.conv, x, _norm(layer.norm))


def _by_patches(conv, x, before=lambda images: images):
    """`conv(before(x))`, a few images after the other."""
    kernel, bias = _weights(conv, "kernel", "bias")
    side, kernel = conv.patch_size, kernel.reshape(-1, conv.filters)
    down, across = x.shape[1] // side, x.shape[2] // side
    out = x.new_empty((x.shape[0], down, across, conv.filters))
    for x_images, out_images in zip(*_slices(torch.get_num_threads() * THREAD_PIXELS, x, out), strict=True):
        whole = before(x_images)[:, : down * side, : across * side]
        patches = whole.unflatten(2, (across, side)).unflatten(1, (down, side)).transpose(2, 3)
        patches, pixels = patches.reshape(-1, kernel.shape[0]), out_images.view(-1, conv.filters)
        if bias is None:
            torch.mm(patches, kernel, out=pixels)
        else:
            torch.addmm(bias, patches, kernel, out=pixels)
    return out


def _norm(layer):
    """A layer of `norm.NORMS` as a function. Of a LayerNorm the weights are read once."""
    if not isinstance(layer, LayerNorm):
        return layer.call
    gamma, beta = _weights(layer, "gamma", "beta")
    return partial(layer_norm, gamma=gamma, beta=beta, epsilon=layer.epsilon)


def _weights(layer, *names):
    """The weights of a layer; None for a bias that it does not have."""
    weights = (getattr(layer, name, None) for name in names)
    return [None if weight is None else ops.convert_to_tensor(weight) for weight in weights]


def _slices(pixels, *maps):
    """Each map in slices of equally many images, about so many pixels at a time."""
    images = maps[0].shape[0]
    count = max(1, min(images, round(maps[0].shape[:-1].numel() / pixels)))
    return [part.split(-(-images // count)) for part in maps]


def _product(x, kernel, bias):
    """`x @ kernel + bias`, by oneDNN where it is faster than torch's own product.

    Torch has no public function for oneDNN's; it is what a compiled and frozen model calls.
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
    """The types that oneDNN multiplies here; none where this torch has not got its product."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return ()
    return (torch.float32, torch.bfloat16) if torch.ops.mkldnn._is_mkldnn_bf16_supported() else (torch.float32,)


def _grn_(x, gamma, beta, epsilon):
    """Global Response Normalization in place, its norms in float32 at least."""
    norm = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32))
    factor = 1 + norm / (norm.mean(-1, keepdim=True) + epsilon) * gamma
    x.mul_(factor.to(x.dtype)).add_(beta.to(x.dtype))


def _add_scaled(x, y, scale, out):
    """`out = x + scale * y`; `scale` may be None. In float16, of which 1e-6 has few bits, the product is float32's."""
    if scale is None:
        torch.add(x, y, out=out)
    elif x.dtype == torch.float16:
        torch.add(x, (y * scale).to(x.dtype), out=out)
    else:
        torch.addcmul(x, y, scale.to(x.dtype), out=out)
