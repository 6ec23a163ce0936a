"""The first layer: from pixels to the first stage's channels (arXiv:2201.03545, section 2.2)."""

import keras

from keras_convnext.layers.initialization import weight_initializer
from keras_convnext.layers.layer_norm import LayerNorm
from keras_convnext.layers.lowering import on_torch
from keras_convnext.layers.patch_conv import PatchConv

STEM_KINDS = ("patchify", "overlap", "overlap_tiered")


@keras.saving.register_keras_serializable(package="keras_convnext")
class Stem(keras.layers.Layer):
    """Cuts the image into patches and projects each, then normalizes.

    Args:
        dim: int, output channels.
        kind: `"patchify"`: one convolution whose kernel and stride are `patch_size`. `"overlap"`: two 3x3 convolutions
            of stride 2 and padding 1. `"overlap_tiered"`: the same, the first with half of `dim`, rounded to a multiple
            of 8 (timm's `_ols` variants).
        patch_size: int, the stride. Defaults to 4; overlapping stems have no other.
        use_norm: bool, whether a LayerNorm follows. Defaults to True.
        norm_eps: float, epsilon of the LayerNorm. Defaults to 1e-6.

    Shapes: `(batch, height, width, channels)` in, `(batch, height // patch_size, width // patch_size, dim)` out
    (overlapping stems round up).

    Raises:
        ValueError: an unknown `kind`, or an overlapping stem with another `patch_size` than 4.

    Example:

    >>> import numpy as np
    >>> tuple(Stem(96)(np.zeros((1, 224, 224, 3))).shape)
    (1, 56, 56, 96)
    """

    def __init__(self, dim, kind="patchify", patch_size=4, use_norm=True, norm_eps=1e-6, **kwargs):
        super().__init__(**kwargs)
        if kind not in STEM_KINDS:
            raise ValueError(f"`kind` must be one of {', '.join(STEM_KINDS)}. Received: kind={kind!r}")
        if kind != "patchify" and patch_size != 4:
            raise ValueError(f"A stem of kind {kind!r} has patch_size 4 alone. Received: patch_size={patch_size}")
        self.dim = dim
        self.kind = kind
        self.patch_size = patch_size
        self.use_norm = use_norm
        self.norm_eps = norm_eps
        self.convs = self._make_convs()
        self.norm = None
        if use_norm:
            self.norm = LayerNorm(epsilon=norm_eps, dtype=self.dtype_policy, name="norm")

    def _make_convs(self):
        if self.kind == "patchify":
            return [PatchConv(self.dim, self.patch_size, dtype=self.dtype_policy, name="conv")]
        first_dim = self.dim if self.kind == "overlap" else _multiple_of_8(self.dim // 2)
        return [self._overlapping("conv_1", first_dim), self._overlapping("conv_2", self.dim)]

    def _overlapping(self, name, filters):
        return keras.layers.Conv2D(
            filters,
            kernel_size=3,
            strides=2,
            padding="valid",
            data_format="channels_last",
            kernel_initializer=weight_initializer(),
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, input_shape):
        for conv in self.convs:
            conv.build(input_shape)
            input_shape = (*input_shape[:-1], conv.filters)
        if self.norm is not None:
            self.norm.build(input_shape)

    def call(self, inputs):
        if on_torch() and self.kind == "patchify" and self.norm is not None:
            from keras_convnext.layers import torch_inference

            if torch_inference.serves(self, inputs):
                return torch_inference.stem(self, inputs)
        x = inputs
        for conv in self.convs:
            if self.kind != "patchify":
                x = keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
            x = conv(x)
        return x if self.norm is None else self.norm(x)

    def compute_output_shape(self, input_shape):
        def reduced(size):
            if size is None:
                return None
            return size // self.patch_size if self.kind == "patchify" else -(-size // self.patch_size)

        batch, height, width, _ = input_shape
        return (batch, reduced(height), reduced(width), self.dim)

    def get_config(self):
        return {
            **super().get_config(),
            "dim": self.dim,
            "kind": self.kind,
            "patch_size": self.patch_size,
            "use_norm": self.use_norm,
            "norm_eps": self.norm_eps,
        }


def _multiple_of_8(channels):
    """The multiple of 8 nearest to `channels`, at least 8, at most a tenth below it (timm's `make_divisible`)."""
    rounded = max(8, (channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8
