"""The ConvNeXt block, V1 and V2 (arXiv:2201.03545, Figure 4; arXiv:2301.00808, Figure 5)."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_convnext import kernels
from keras_convnext.layers.activation import activation_config, get_activation
from keras_convnext.layers.depthwise_conv import DepthwiseConv2D
from keras_convnext.layers.grn import GlobalResponseNormalization
from keras_convnext.layers.layer_scale import LayerScale
from keras_convnext.layers.norm import make_norm
from keras_convnext.layers.overrides import configured_overrides, override_inner_layers
from keras_convnext.layers.plain_parts import may_fuse
from keras_convnext.layers.pointwise_conv import PointwiseConv
from keras_convnext.layers.recomputed import recomputed
from keras_convnext.layers.stochastic_depth import StochasticDepth
from keras_convnext.scalars import flag, integer, number, optional, rate
from keras_convnext.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class ConvNeXtBlock(keras.layers.Layer):
    """Depthwise convolution, norm and a two-layer MLP over the channels, on a residual branch.

        y = x + drop_path(layer_scale(W2 grn(activation(W1 norm(depthwise_conv(x))))))

    V1 has the layer scale and no GRN; V2 has GRN and no layer scale.

    Args:
        kernel_size: side of the depthwise kernel, an odd number. Defaults to 7.
        mlp_ratio: ratio of hidden to input channels. The number of hidden channels is rounded down. Defaults to 4.
        layer_scale_init_value: initial value of the layer scale; None for no layer scale. Defaults to 1e-6.
        use_grn: whether Global Response Normalization follows the activation. Defaults to False.
        drop_path_rate: probability, in [0, 1), that stochastic depth drops the branch of a sample. Defaults to 0.
        norm_eps: epsilon of the norm. Defaults to 1e-6.
        dilation_rate: dilation of the depthwise convolution. Defaults to 1.
        remat: in training, keep only the block's input and recompute the branch in the backward pass: less memory, more
            time, equal gradients. A quantized block recomputes nothing. Defaults to False.
        norm: `"layer_norm"`, `"rms_norm"` or `"simple_norm"` (timm's). Defaults to `"layer_norm"`.
        activation: `"gelu"` (exact), `"gelu_tanh"` (its approximation) or another name in `keras.activations`, or a
            function that Keras serializes. Defaults to `"gelu"`.
        conv_bias: whether the depthwise convolution has a bias. The MLP always has biases. Defaults to True.
        overrides: settings of inner layers that were changed after they were made, such as quantization; see
            `layers.overrides`. Defaults to None.
        **kwargs: as for `keras.layers.Layer`, such as `name` and `dtype`.

    Shapes: `(batch, height, width, channels)` in and out.

    Raises:
        ValueError: the norm or activation is unknown, or `mlp_ratio` leaves no hidden channel.

    Example:

    >>> import keras
    >>> from keras_convnext.layers import ConvNeXtBlock
    >>> x = keras.Input((14, 14, 64))
    >>> ConvNeXtBlock(drop_path_rate=0.1)(x).shape
    (None, 14, 14, 64)
    """

    def __init__(
        self,
        kernel_size: int = 7,
        mlp_ratio: float = 4,
        layer_scale_init_value: float | None = 1e-6,
        use_grn: bool = False,
        drop_path_rate: float = 0.0,
        norm_eps: float = 1e-6,
        dilation_rate: int = 1,
        remat: bool = False,
        norm: str = "layer_norm",
        activation: str | dict | Callable = "gelu",
        conv_bias: bool = True,
        overrides: dict | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.input_spec = keras.InputSpec(ndim=4)
        self.kernel_size = integer("kernel_size", kernel_size, 1)
        self.mlp_ratio = number("mlp_ratio", mlp_ratio)
        self.layer_scale_init_value = optional(number, "layer_scale_init_value", layer_scale_init_value)
        self.use_grn = flag("use_grn", use_grn)
        self.drop_path_rate = rate("drop_path_rate", drop_path_rate)
        self.norm_eps = number("norm_eps", norm_eps, 0)
        self.dilation_rate = integer("dilation_rate", dilation_rate, 1)
        self.remat = flag("remat", remat)
        self.norm_kind = norm
        self.activation = activation_config(activation)
        self.conv_bias = flag("conv_bias", conv_bias)
        self.overrides = overrides
        policy = self.dtype_policy
        self.depthwise_conv = DepthwiseConv2D(
            kernel_size, dilation_rate, use_bias=conv_bias, dtype=policy, name="depthwise_conv"
        )
        self.norm = make_norm(norm, norm_eps, dtype=policy, name="norm")
        self.grn = GlobalResponseNormalization(dtype=policy, name="grn") if use_grn else None
        self.layer_scale = None
        if layer_scale_init_value is not None:
            self.layer_scale = LayerScale(layer_scale_init_value, dtype=policy, name="layer_scale")
        self.drop_path = StochasticDepth(drop_path_rate, dtype=policy, name="drop_path")

    def build(self, input_shape: Shape) -> None:
        dim: int = input_shape[-1]  # type: ignore[assignment]  # known when a layer is built
        hidden_dim = int(self.mlp_ratio * dim)
        if hidden_dim < 1:
            raise ValueError(
                f"`mlp_ratio` times the channels must be at least 1. Received: mlp_ratio={self.mlp_ratio} and {dim} "
                "channels"
            )
        hidden_shape = (*input_shape[:-1], hidden_dim)
        self.pointwise_conv_1 = PointwiseConv(
            hidden_dim, activation=get_activation(self.activation), dtype=self.dtype_policy, name="pointwise_conv_1"
        )
        self.pointwise_conv_2 = PointwiseConv(dim, dtype=self.dtype_policy, name="pointwise_conv_2")
        override_inner_layers(self)
        for layer, shape in (
            (self.depthwise_conv, input_shape),
            (self.norm, input_shape),
            (self.pointwise_conv_1, input_shape),
            (self.grn, hidden_shape),
            (self.pointwise_conv_2, hidden_shape),
            (self.layer_scale, input_shape),
        ):
            if layer is not None:
                layer.build(shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if may_fuse(self, inputs) and self.pointwise_conv_2.activation is keras.activations.linear:
            return kernels.block(
                inputs,
                self._weights(),
                self._settings(),
                keep=self.drop_path.sample(inputs, training),
                recompute=bool(self.remat and training),
                training=bool(training),
            )
        recomputes = self.remat and training and not self._is_quantized
        branch = recomputed(self._branch, self.weights, inputs) if recomputes else self._branch(inputs)
        return inputs + self.drop_path(branch, training=training)

    def _weights(self):
        weights = [
            (self.depthwise_conv, "kernel"),
            (self.depthwise_conv, "bias"),
            (self.norm, "gamma"),
            (self.norm, "beta"),
            (self.pointwise_conv_1, "kernel"),
            (self.pointwise_conv_1, "bias"),
            (self.grn, "gamma"),
            (self.grn, "beta"),
            (self.pointwise_conv_2, "kernel"),
            (self.pointwise_conv_2, "bias"),
            (self.layer_scale, "gamma"),
        ]
        weights = (getattr(layer, name, None) for layer, name in weights)
        return kernels.BlockWeights(*(None if weight is None else ops.convert_to_tensor(weight) for weight in weights))

    def _settings(self):
        return kernels.BlockSettings(
            dilation=self.depthwise_conv.dilation_rate,
            norm=self.norm.function,
            epsilon=self.norm.epsilon,
            activation=self.pointwise_conv_1.activation,
            grn_epsilon=self.grn and self.grn.epsilon,
        )

    @property
    def _is_quantized(self):
        """Whether a linear layer is quantized.

        Integer weights have no gradients, and a training step measures the scales of float8.
        """
        return any(layer.quantization_mode for layer in (self.pointwise_conv_1, self.pointwise_conv_2))

    def _branch(self, x):
        x = self.depthwise_conv(x)
        x = self.norm(x)
        x = self.pointwise_conv_1(x)
        if self.grn is not None:
            x = self.grn(x)
        x = self.pointwise_conv_2(x)
        return x if self.layer_scale is None else self.layer_scale(x)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "mlp_ratio": self.mlp_ratio,
            "layer_scale_init_value": self.layer_scale_init_value,
            "use_grn": self.use_grn,
            "drop_path_rate": self.drop_path_rate,
            "norm_eps": self.norm_eps,
            "dilation_rate": self.dilation_rate,
            "remat": self.remat,
            "norm": self.norm_kind,
            "activation": self.activation,
            "conv_bias": self.conv_bias,
            "overrides": configured_overrides(self),
        }
