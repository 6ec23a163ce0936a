"""The first layer: from pixels to the first stage's channels (arXiv:2201.03545, section 2.2)."""

from collections.abc import Callable
from typing import Any

import keras

from keras_convnext.layers.activation import activation_config, get_activation
from keras_convnext.layers.initialization import weight_initializer
from keras_convnext.layers.norm import make_norm
from keras_convnext.layers.overrides import configured_overrides, override_inner_layers
from keras_convnext.layers.patch_conv import PatchConv
from keras_convnext.layers.patch_embed import patch_embed
from keras_convnext.layers.plain_parts import may_fuse
from keras_convnext.scalars import flag, integer, number
from keras_convnext.typing import Shape, Tensor

STEM_KINDS = ("patchify", "overlap", "overlap_tiered", "overlap_act")


@keras.saving.register_keras_serializable(package="keras_convnext")
class Stem(keras.layers.Layer):
    """Cuts the image into patches and projects each, then normalizes.

    Args:
        dim: output channels.
        kind: `"patchify"`: one convolution whose kernel and stride are `patch_size`. `"overlap"`: two 3x3 convolutions
            of stride 2 and padding 1. `"overlap_tiered"`: the same, but the first convolution has half of `dim`
            channels, rounded to a multiple of 8 (timm's `_ols` variants). `"overlap_act"`: as `"overlap"`, with the
            activation between the two (timm's `convnext_zepto_rms_ols`). Defaults to `"patchify"`.
        patch_size: the stride. Overlapping stems support only 4. Defaults to 4.
        use_norm: whether a norm follows. Defaults to True.
        norm_eps: epsilon of the norm. Defaults to 1e-6.
        norm: `"layer_norm"`, `"rms_norm"` or `"simple_norm"`. Defaults to `"layer_norm"`.
        activation: the activation of the kind `"overlap_act"`, as for `ConvNeXtBlock`; the other kinds have none.
            Defaults to `"gelu"`.
        conv_bias: whether the convolutions have biases. Defaults to True.
        overrides: settings of inner layers that were changed after they were made, such as quantization; see
            `layers.overrides`. Defaults to None.
        **kwargs: as for `keras.layers.Layer`, such as `name` and `dtype`.

    Shapes: `(batch, height, width, channels)` in, `(batch, height // patch_size, width // patch_size, dim)` out
    (overlapping stems round up).

    Raises:
        ValueError: the kind, norm or activation is unknown, or an overlapping stem has a `patch_size` other than 4.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.layers import Stem
    >>> tuple(Stem(96)(np.zeros((1, 224, 224, 3))).shape)
    (1, 56, 56, 96)
    """

    def __init__(
        self,
        dim: int,
        kind: str = "patchify",
        patch_size: int = 4,
        use_norm: bool = True,
        norm_eps: float = 1e-6,
        norm: str = "layer_norm",
        activation: str | dict | Callable = "gelu",
        conv_bias: bool = True,
        overrides: dict | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.input_spec = keras.InputSpec(ndim=4)
        if kind not in STEM_KINDS:
            raise ValueError(f"`kind` must be one of {', '.join(STEM_KINDS)}. Received: kind={kind!r}")
        if kind != "patchify" and patch_size != 4:
            raise ValueError(f"A stem of kind {kind!r} supports only patch_size=4. Received: patch_size={patch_size}")
        self.dim = integer("dim", dim, 1)
        self.kind = kind
        self.patch_size = integer("patch_size", patch_size, 1)
        self.use_norm = flag("use_norm", use_norm)
        self.norm_eps = number("norm_eps", norm_eps, 0)
        self.norm_kind = norm
        self.activation = activation_config(activation)
        self.conv_bias = flag("conv_bias", conv_bias)
        self.overrides = overrides
        self.convs = self._make_convs()
        self.norm = None
        if self.use_norm:
            self.norm = make_norm(norm, norm_eps, dtype=self.dtype_policy, name="norm")

    def _make_convs(self):
        if self.kind == "patchify":
            return [PatchConv(self.dim, self.patch_size, use_bias=self.conv_bias, dtype=self.dtype_policy, name="conv")]
        first_dim = multiple_of_8(self.dim // 2) if self.kind == "overlap_tiered" else self.dim
        activation = get_activation(self.activation) if self.kind == "overlap_act" else None
        return [self._overlapping("conv_1", first_dim, activation), self._overlapping("conv_2", self.dim)]

    def _overlapping(self, name, filters, activation=None):
        return keras.layers.Conv2D(
            filters,
            kernel_size=3,
            strides=2,
            padding="valid",
            data_format="channels_last",
            activation=activation,
            use_bias=self.conv_bias,
            kernel_initializer=weight_initializer(),
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, input_shape: Shape) -> None:
        override_inner_layers(self)
        for conv in self.convs:
            conv.build(input_shape)
            input_shape = (*input_shape[:-1], conv.filters)
        if self.norm is not None:
            self.norm.build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if self.kind == "patchify" and may_fuse(self, inputs):
            return patch_embed(inputs, self.convs[0], self.norm, norm_first=False, training=training)
        x = inputs
        for conv in self.convs:
            if self.kind != "patchify":
                x = keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
            x = conv(x)
        return x if self.norm is None else self.norm(x)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        def reduced(size):
            if size is None:
                return None
            return size // self.patch_size if self.kind == "patchify" else -(-size // self.patch_size)

        batch, height, width, _ = input_shape
        return (batch, reduced(height), reduced(width), self.dim)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "dim": self.dim,
            "kind": self.kind,
            "patch_size": self.patch_size,
            "use_norm": self.use_norm,
            "norm_eps": self.norm_eps,
            "norm": self.norm_kind,
            "activation": self.activation,
            "conv_bias": self.conv_bias,
            "overrides": configured_overrides(self),
        }


def multiple_of_8(channels: int) -> int:
    """The multiple of 8 nearest to `channels`, but at least 8 and at most a tenth below (timm's `make_divisible`)."""
    rounded = max(8, (channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8
