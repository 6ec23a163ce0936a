"""Whether a layer's parts are as this package makes them: only then may something faster stand for them."""

from keras_convnext.layers.depthwise_conv import DepthwiseConv2D
from keras_convnext.layers.grn import GlobalResponseNormalization
from keras_convnext.layers.layer_norm import LayerNorm
from keras_convnext.layers.layer_scale import LayerScale
from keras_convnext.layers.patch_conv import PatchConv
from keras_convnext.layers.pointwise_conv import PointwiseConv
from keras_convnext.layers.rms_norm import RmsNorm
from keras_convnext.layers.simple_norm import SimpleNorm
from keras_convnext.layers.stochastic_depth import StochasticDepth

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


def are_plain(layer, parts):
    """Whether each part computes what its class says, in the layer's own types, and nothing beside.

    Not so where a part was replaced by one of another class, its `call` by another function, or its dtype policy; where
    it is quantized, or has an activity regularizer.

    Args:
        layer: the layer that has the parts.
        parts: iterable of layers; None stands for a part that it has not got.
    """
    policy = layer.dtype_policy
    return policy.quantization_mode is None and all(part is None or _is_plain(part, policy) for part in parts)


def _is_plain(part, policy):
    kind = type(part)
    return (
        kind in _CALLS
        and getattr(part.call, "__func__", None) is _CALLS[kind]
        and (part.dtype_policy is policy or part.dtype_policy == policy)
        and part.activity_regularizer is None
        and not getattr(part, "lora_enabled", False)
    )
