"""The network of every step, built from its description (arXiv:2201.03545, section 2)."""

import re
from dataclasses import replace

import keras

from keras_convnext.layers import Downsample, Stem
from keras_convnext.layers.global_pool import GlobalPool
from keras_convnext.layers.initialization import weight_initializer
from keras_convnext.normalization import mean_and_std, normalization_layer
from keras_convnext.roadmap.block import activation_layer, norm_layer, padded_conv, residual_block
from keras_convnext.roadmap.steps import Network, describe
from keras_convnext.scalars import flag, image_shape, integer, number, optional

STRIDE = 32
"""The stride of every network: the side of an image over the side of the last feature map."""


def build(
    step: str | Network,
    regime: str = "resnet50",
    num_classes: int = 1000,
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    layer_scale_init_value: float | None = None,
    drop_path_rate: float = 0.0,
    width_divisor: int = 1,
    include_preprocessing: bool = True,
    name: str | None = None,
) -> keras.Model:
    """Builds the network of a step from ResNet to ConvNeXt, randomly initialized.

    With layer scale, the network of the last step is `convnext_tiny` (from ResNet-50) or `convnext_base` (from
    ResNet-200): it computes the same outputs, and `convnext_path` maps the names of its weights to theirs.

    Args:
        step: a name in `STEPS`; or a description, for a step that is not in the paper.
        regime: `"resnet50"` or `"resnet200"`, the ResNet at which the path starts. Defaults to `"resnet50"`.
        num_classes: number of classes. Defaults to 1000.
        input_shape: `(height, width, channels)`, shape of one image. Height and width may be None. Defaults to
            `(224, 224, 3)`.
        layer_scale_init_value: initial value of the layer scale in each block; ConvNeXt uses 1e-6. Defaults to
            None: no layer scale, as in the paper's path.
        drop_path_rate: in [0, 1), rate of stochastic depth in the last block. It grows linearly from 0 in the
            first block. The paper uses 0.1 from ResNet-50. Defaults to 0.
        width_divisor: the number by which all widths are divided, to train the path in miniature. Defaults to 1.
        include_preprocessing: whether the first layer computes `(x / 255 - mean) / std` with ImageNet's mean and
            standard deviation. If False, the model takes normalized images. Defaults to True.
        name: name of the model. Defaults to the regime and the step, such as `"resnet50_gelu"`.

    Returns:
        A model that maps images in 0..255, `(batch, height, width, channels)`, to logits,
        `(batch, num_classes)`.

    Raises:
        ValueError: The step or the regime is unknown, the width is not divisible by `width_divisor`, the images are
            smaller than 32 pixels, or a number is out of its range.

    Example:

    >>> from keras_convnext.roadmap import build
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
    x = image
    if flag("include_preprocessing", include_preprocessing):
        x = normalization_layer(*mean_and_std(image.shape[-1]), name="normalization")(image)
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


def convnext_path(path: str) -> str:
    """Maps the path of a weight of the last step's model to the path of the same weight in `ConvNeXtClassifier`.

    Args:
        path: path of a weight in the last step's model.

    Returns:
        The path in `ConvNeXtClassifier`.

    Example:

    >>> from keras_convnext.roadmap import convnext_path
    >>> convnext_path("stage_0_block_1_depthwise_conv_norm/gamma")
    'stage_0_block_1/norm/gamma'
    """
    return re.sub(r"^(stage_\d+_block_\d+)_", r"\1/", path).replace("/depthwise_conv_norm/", "/norm/")


def narrowed(network: Network, divisor: int) -> Network:
    """Divides all widths of a network.

    Args:
        network: the description of the network.
        divisor: divisor of the width, 1 or more.

    Raises:
        ValueError: The width is not divisible by `divisor`.

    Example:

    >>> from keras_convnext.roadmap import describe, narrowed
    >>> narrowed(describe("gelu"), 4).width
    24
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
        raise ValueError(
            f"`input_shape` must have sides of {STRIDE} pixels or more: the networks halve images five times. "
            f"Received: {input_shape}"
        )
    if not 0 <= drop_path_rate < 1:
        raise ValueError(f"`drop_path_rate` must be at least 0 and below 1. Received: {drop_path_rate}")


def _stem(x, network):
    if network.stem == "patchify":
        return Stem(network.width, use_norm=network.separate_downsampling, name="stem")(x)
    x = padded_conv(x, network.width, kernel_size=7, strides=2, use_bias=False, name="stem_conv")
    x = norm_layer("batch", "stem_norm")(x)
    x = activation_layer("relu", "stem_relu")(x)
    x = keras.layers.ZeroPadding2D(1, data_format="channels_last", name="stem_pool_padding")(x)
    return keras.layers.MaxPooling2D(3, strides=2, data_format="channels_last", name="stem_pool")(x)
