"""Whether one kernel may compute the result of a layer's inner layers without calling them."""

import keras

from keras_convnext import kernels
from keras_convnext.layers.depthwise_conv import DepthwiseConv2D
from keras_convnext.layers.grn import GlobalResponseNormalization
from keras_convnext.layers.layer_norm import LayerNorm
from keras_convnext.layers.layer_scale import LayerScale
from keras_convnext.layers.patch_conv import PatchConv
from keras_convnext.layers.pointwise_conv import PointwiseConv
from keras_convnext.layers.rms_norm import RmsNorm
from keras_convnext.layers.simple_norm import SimpleNorm
from keras_convnext.layers.stochastic_depth import StochasticDepth
from keras_convnext.typing import Tensor

_KINDS = (
    DepthwiseConv2D,
    GlobalResponseNormalization,
    LayerNorm,
    LayerScale,
    PatchConv,
    PointwiseConv,
    RmsNorm,
    SimpleNorm,
    StochasticDepth,
)
_CALLS = {kind: kind.call for kind in _KINDS}


def may_fuse(layer: keras.layers.Layer, x: Tensor) -> bool:
    """Whether one kernel may replace the inner layers of a layer: they are unmodified, and nothing observes them.

    An inner layer counts as modified if it was replaced by a layer of another class, its `call` by another function (as
    `profiling.profile` does), or its dtype policy by another one; and if it is quantized, or has low-rank adapters or
    an activity regularizer. The backend's own tools, such as torch's hooks, observe a layer.

    Args:
        layer: the layer that has the inner layers.
        x: the input of its call.
    """
    policy = layer.dtype_policy
    parts = list(layer._flatten_layers(include_self=False, recursive=False))
    return (
        policy.quantization_mode is None
        and all(_is_plain(part, policy) for part in parts)
        and not kernels.is_observed(x, parts)
    )


def _is_plain(part, policy):
    kind = type(part)
    return (
        kind in _CALLS
        and getattr(part.call, "__func__", None) is _CALLS[kind]
        and (part.dtype_policy is policy or part.dtype_policy == policy)
        and part.activity_regularizer is None
        and not getattr(part, "lora_enabled", False)
    )
