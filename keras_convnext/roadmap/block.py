"""The residual block of every step, built from its description (arXiv:2201.03545, Figures 3 and 4)."""

import keras

from keras_convnext.layers import DepthwiseConv2D, LayerScale, StochasticDepth
from keras_convnext.layers.gelu import gelu
from keras_convnext.layers.initialization import weight_initializer
from keras_convnext.layers.layer_norm import LayerNorm
from keras_convnext.roadmap.steps import Network


def residual_block(
    x: keras.KerasTensor,
    network: Network,
    width: int,
    strides: int,
    name: str,
    layer_scale_init_value: float | None = None,
    drop_path_rate: float = 0.0,
) -> keras.KerasTensor:
    """Computes `shortcut(x) + branch(x)`, where the branch has three convolutions, norms and activations.

    Args:
        x: of shape `(batch, height, width, channels)`.
        network: the description.
        width: width of the stage.
        strides: 1 or 2. 2 halves height and width, rounded up.
        name: prefix of the names of all layers.
        layer_scale_init_value: initial value of the layer scale. Defaults to None: no layer scale.
        drop_path_rate: in [0, 1), rate of stochastic depth. Defaults to 0.

    Returns:
        A tensor of shape `(batch, height / strides, width / strides, network.out_channels(width))`.
    """
    shortcut, out_channels = x, network.out_channels(width)
    if strides > 1 or x.shape[-1] != out_channels:
        shortcut = _pointwise(out_channels, strides, False, f"{name}_shortcut_conv")(x)
        shortcut = norm_layer(network.norm, f"{name}_shortcut_norm")(shortcut)
    for position, (kind, channels) in enumerate(_convolutions(network, width, x.shape[-1])):
        use_bias = network.norm == "layer"
        if kind == "spatial":
            label = f"{name}_depthwise_conv" if network.depthwise else f"{name}_conv"
            x = _spatial(x, network, channels, strides, use_bias, label)
        else:
            label = f"{name}_{kind}"
            x = _pointwise(channels, 1, use_bias, label)(x)
        is_spatial, is_last = kind == "spatial", position == 2
        if network.norms == "every" or is_spatial:
            x = norm_layer(network.norm, f"{label}_norm")(x)
        if (network.activations == "every" and not is_last) or (network.activations == "one" and position == 1):
            x = activation_layer(network.activation, f"{label}_{network.activation}")(x)
    if layer_scale_init_value is not None:
        x = LayerScale(layer_scale_init_value, name=f"{name}_layer_scale")(x)
    if drop_path_rate:
        x = StochasticDepth(drop_path_rate, name=f"{name}_drop_path")(x)
    x = keras.layers.Add(name=f"{name}_sum")([shortcut, x])
    return (
        activation_layer(network.activation, f"{name}_{network.activation}")(x) if network.activations == "every" else x
    )


def norm_layer(norm: str, name: str) -> keras.Layer:
    """BatchNorm with the settings of PyTorch's ResNet, or LayerNorm over the channels."""
    if norm == "layer":
        return LayerNorm(name=name)
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)


def activation_layer(activation: str, name: str) -> keras.Layer:
    """ReLU, or exact GELU."""
    return keras.layers.Activation(gelu if activation == "gelu" else activation, name=name)


def _convolutions(network, width, in_channels):
    """The kind and the output channels of each of a block's three convolutions."""
    return {
        "bottleneck": (("pointwise_conv_1", width), ("spatial", width), ("pointwise_conv_2", 4 * width)),
        "inverted": (("pointwise_conv_1", 4 * width), ("spatial", 4 * width), ("pointwise_conv_2", width)),
        "depthwise_first": (("spatial", in_channels), ("pointwise_conv_1", 4 * width), ("pointwise_conv_2", width)),
    }[network.block]


def _pointwise(channels, strides, use_bias, name):
    return keras.layers.Conv2D(
        channels,
        kernel_size=1,
        strides=strides,
        use_bias=use_bias,
        data_format="channels_last",
        kernel_initializer=weight_initializer(),
        name=name,
    )


def _spatial(x, network, channels, strides, use_bias, name):
    """The k x k convolution, padded equally on each side, as in PyTorch."""
    if network.depthwise:
        return DepthwiseConv2D(network.kernel_size, strides=strides, use_bias=use_bias, name=name)(x)
    return padded_conv(x, channels, network.kernel_size, strides, use_bias, name)


def padded_conv(
    x: keras.KerasTensor, channels: int, kernel_size: int, strides: int, use_bias: bool, name: str
) -> keras.KerasTensor:
    """A convolution padded with `kernel_size // 2` zeros on each side, for any stride."""
    if strides > 1:  # here Keras's "same" would pad more at the end than at the start
        x = keras.layers.ZeroPadding2D(kernel_size // 2, data_format="channels_last", name=f"{name}_padding")(x)
    return keras.layers.Conv2D(
        channels,
        kernel_size=kernel_size,
        strides=strides,
        padding="valid" if strides > 1 else "same",
        use_bias=use_bias,
        data_format="channels_last",
        kernel_initializer=weight_initializer(),
        name=name,
    )(x)
