"""The network of every step, as its description has it (arXiv:2201.03545, section 2)."""

import re
from dataclasses import replace

import keras

from keras_convnext.checkpoints import IMAGENET_MEAN, IMAGENET_STD
from keras_convnext.layers import Downsample, Stem
from keras_convnext.layers.global_pool import GlobalPool
from keras_convnext.layers.initialization import weight_initializer
from keras_convnext.models.roadmap.block import activation_layer, norm_layer, padded_conv, residual_block
from keras_convnext.models.roadmap.steps import Network, describe
from keras_convnext.scalars import flag, image_shape, integer, number, optional

STRIDE = 32
"""Of every network: an image's side over that of the last feature map."""


def build(
    step,
    regime="resnet50",
    num_classes=1000,
    input_shape=(224, 224, 3),
    layer_scale_init_value=None,
    drop_path_rate=0.0,
    width_divisor=1,
    include_preprocessing=True,
    name=None,
):
    """The network of a step from ResNet to ConvNeXt, with new weights.

    The last step, with layer scale, is `convnext_tiny` (from ResNet-50) or `convnext_base` (from ResNet-200): the same
    outputs, and the same weights under the names that `convnext_path` gives.

    Args:
        step: str, a name of `STEPS`; or a `Network`, for a path of one's own.
        regime: `"resnet50"` or `"resnet200"`: where the path begins. Defaults to `"resnet50"`.
        num_classes: int, classes of the head. Defaults to 1000.
        input_shape: tuple `(height, width, channels)`, of one image; None where a side is free. Defaults to
            `(224, 224, 3)`.
        layer_scale_init_value: float, what each block's branch is multiplied by at first; the final ConvNeXt has 1e-6.
            Defaults to None: no layer scale, as in the reference's counts.
        drop_path_rate: float in [0, 1), stochastic depth's rate in the last block; it grows linearly from 0 in the
            first. The paper has 0.1 from ResNet-50 on. Defaults to 0.
        width_divisor: int, what all widths are divided by, for a network in miniature. Defaults to 1.
        include_preprocessing: bool, whether the first layer turns 0..255 into `(x / 255 - mean) / std`, with
            ImageNet's. Without it the model takes images that are normalized already. Defaults to True.
        name: str. Defaults to regime and step.

    Returns:
        `keras.Model`, of images in 0..255 to logits.

    Shapes: `(batch, height, width, channels)` in, `(batch, num_classes)` out.

    Raises:
        ValueError: an unknown step or regime, a width that does not divide, images of less than 32 pixels, or a number
            out of its range.

    Example:

    >>> from keras_convnext.models.roadmap import build
    >>> model = build("patchify_stem", num_classes=10, input_shape=(32, 32, 3), width_divisor=8)
    >>> model.output.shape
    (None, 10)
    """
    network = step if isinstance(step, Network) else describe(step, regime)
    network = narrowed(network, integer("width_divisor", width_divisor))
    num_classes, input_shape = integer("num_classes", num_classes), image_shape("input_shape", input_shape)
    drop_path_rate = number("drop_path_rate", drop_path_rate)
    layer_scale_init_value = optional(number, "layer_scale_init_value", layer_scale_init_value)
    _check(num_classes, input_shape, drop_path_rate)
    total = max(1, sum(network.depths) - 1)

    # === The graph
    image = keras.Input(input_shape, name="image")
    x = _normalized(image) if flag("include_preprocessing", include_preprocessing) else image
    x = _stem(x, network)
    place = 0
    for stage, (depth, width) in enumerate(zip(network.depths, network.widths(), strict=True)):
        if stage > 0 and network.separate_downsampling:
            x = Downsample(width, name=f"stage_{stage}_downsample")(x)
        for block in range(depth):
            has_stride = stage > 0 and block == 0 and not network.separate_downsampling
            x = residual_block(
                x,
                network,
                width,
                strides=2 if has_stride else 1,
                name=f"stage_{stage}_block_{block}",
                layer_scale_init_value=layer_scale_init_value,
                drop_path_rate=drop_path_rate * place / total,
            )
            place += 1
    x = GlobalPool(name="head_pool")(x)
    if network.separate_downsampling:
        x = norm_layer("layer", "head_norm")(x)
    logits = keras.layers.Dense(num_classes, kernel_initializer=weight_initializer(), name="head")(x)
    label = "network" if isinstance(step, Network) else f"{regime}_{step}"
    return keras.Model(image, logits, name=name or label)


def convnext_path(path):
    """The path in `ConvNeXtClassifier` of a weight of the last step.

    Args:
        path: str, of a weight of the last step's model.

    Example:

    >>> from keras_convnext.models.roadmap import convnext_path
    >>> convnext_path("stage_0_block_1_depthwise_conv_norm/gamma")
    'stage_0_block_1/norm/gamma'
    """
    return re.sub(r"^(stage_\d+_block_\d+)_", r"\1/", path).replace("/depthwise_conv_norm/", "/norm/")


def narrowed(network, divisor):
    """The network with all widths divided.

    Raises:
        ValueError: a width that does not divide.
    """
    if divisor < 1 or network.width % divisor:
        raise ValueError(
            f"`width_divisor` must divide the width, {network.width}, without remainder. Received: {divisor}"
        )
    return replace(network, width=network.width // divisor)


def _check(num_classes, input_shape, drop_path_rate):
    if num_classes < 1:
        raise ValueError(f"`num_classes` must be 1 or more. Received: {num_classes}")
    if len(input_shape) != 3 or input_shape[-1] is None:
        raise ValueError(f"`input_shape` must be (height, width, channels). Received: {input_shape}")
    if any(side is not None and side < STRIDE for side in input_shape[:2]):
        raise ValueError(f"The networks halve images five times: {STRIDE} pixels or more. Received: {input_shape}")
    if not 0 <= drop_path_rate < 1:
        raise ValueError(f"`drop_path_rate` must be at least 0 and below 1. Received: {drop_path_rate}")


def _normalized(image):
    channels = image.shape[-1]
    mean, std = (values if channels == 3 else (sum(values) / 3,) * channels for values in (IMAGENET_MEAN, IMAGENET_STD))
    return keras.layers.Normalization(
        mean=[255 * m for m in mean], variance=[(255 * s) ** 2 for s in std], name="normalization"
    )(image)


def _stem(x, network):
    if network.stem == "patchify":
        return Stem(network.width, use_norm=network.separate_downsampling, name="stem")(x)
    x = padded_conv(x, network.width, kernel_size=7, strides=2, use_bias=False, name="stem_conv")
    x = norm_layer("batch", "stem_norm")(x)
    x = activation_layer("relu", "stem_relu")(x)
    x = keras.layers.ZeroPadding2D(1, data_format="channels_last", name="stem_pool_padding")(x)
    return keras.layers.MaxPooling2D(3, strides=2, data_format="channels_last", name="stem_pool")(x)
