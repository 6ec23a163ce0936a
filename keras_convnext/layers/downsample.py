"""The layer between two stages: a norm, then a 2x2 convolution of stride 2 (arXiv:2201.03545, section 2.6)."""

from typing import Any

import keras

from keras_convnext.layers.initialization import weight_initializer
from keras_convnext.layers.norm import make_norm
from keras_convnext.layers.overrides import configured_overrides, override_inner_layers
from keras_convnext.layers.patch_conv import PatchConv
from keras_convnext.layers.patch_embed import patch_embed
from keras_convnext.layers.plain_parts import may_fuse
from keras_convnext.scalars import flag, integer, number
from keras_convnext.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class Downsample(keras.layers.Layer):
    """Normalizes, then halves height and width with a 2x2 convolution.

    Args:
        dim: output channels.
        strides: 2, or 1 to keep the size ("same" padding), for networks with a smaller output stride. Defaults to 2.
        dilation_rate: dilation of the convolution. A value above 1 requires `strides=1`. Defaults to 1.
        norm_eps: epsilon of the norm. Defaults to 1e-6.
        norm: `"layer_norm"`, `"rms_norm"` or `"simple_norm"`. Defaults to `"layer_norm"`.
        conv_bias: whether the convolution has a bias. Defaults to True.
        overrides: settings of inner layers that were changed after they were made, such as quantization; see
            `layers.overrides`. Defaults to None.
        **kwargs: as for `keras.layers.Layer`, such as `name` and `dtype`.

    Shapes: `(batch, height, width, channels)` in, `(batch, height // strides, width // strides, dim)` out.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.layers import Downsample
    >>> tuple(Downsample(16)(np.zeros((1, 8, 8, 4))).shape)
    (1, 4, 4, 16)
    """

    def __init__(
        self,
        dim: int,
        strides: int = 2,
        dilation_rate: int = 1,
        norm_eps: float = 1e-6,
        norm: str = "layer_norm",
        conv_bias: bool = True,
        overrides: dict | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.input_spec = keras.InputSpec(ndim=4)
        self.dim = integer("dim", dim, 1)
        self.strides = integer("strides", strides)
        self.dilation_rate = integer("dilation_rate", dilation_rate, 1)
        if self.strides not in (1, 2):
            raise ValueError(f"`strides` must be 1 or 2. Received: strides={strides}")
        if self.strides == 2 and self.dilation_rate > 1:
            raise ValueError(
                f"A `dilation_rate` above 1 requires strides=1. Received: strides=2, dilation_rate={dilation_rate}"
            )
        self.norm_eps = number("norm_eps", norm_eps, 0)
        self.norm_kind = norm
        self.conv_bias = flag("conv_bias", conv_bias)
        self.overrides = overrides
        self.norm = make_norm(norm, norm_eps, dtype=self.dtype_policy, name="norm")
        self.conv = self._make_conv()

    def _make_conv(self):
        if self.strides == 2 and self.dilation_rate == 1:
            return PatchConv(self.dim, patch_size=2, use_bias=self.conv_bias, dtype=self.dtype_policy, name="conv")
        return keras.layers.Conv2D(
            self.dim,
            kernel_size=2,
            strides=self.strides,
            padding="valid" if self.strides > 1 else "same",
            dilation_rate=self.dilation_rate,
            data_format="channels_last",
            use_bias=self.conv_bias,
            kernel_initializer=weight_initializer(),
            dtype=self.dtype_policy,
            name="conv",
        )

    def build(self, input_shape: Shape) -> None:
        override_inner_layers(self)
        self.norm.build(input_shape)
        self.conv.build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if isinstance(self.conv, PatchConv) and may_fuse(self, inputs):
            return patch_embed(inputs, self.conv, self.norm, norm_first=True, training=training)
        return self.conv(self.norm(inputs))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return self.conv.compute_output_shape(input_shape)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "dim": self.dim,
            "strides": self.strides,
            "dilation_rate": self.dilation_rate,
            "norm_eps": self.norm_eps,
            "norm": self.norm_kind,
            "conv_bias": self.conv_bias,
            "overrides": configured_overrides(self),
        }
