"""ConvNeXt without its head: a stem, and stages of blocks with a downsampling layer between two (arXiv:2201.03545)."""

from numbers import Real
from typing import NamedTuple

import keras

from keras_convnext.checkpoints import IMAGENET_MEAN, IMAGENET_STD, find_preset, load_published
from keras_convnext.layers import ConvNeXtBlock, Downsample, Stem
from keras_convnext.models.fuse import fold_layer_scale
from keras_convnext.variants import get_variant


@keras.saving.register_keras_serializable(package="keras_convnext")
class ConvNeXtBackbone(keras.Model):
    """The feature extractor of a ConvNeXt, V1 or V2.

    Images go in as 0..255, and the first layer normalizes them. Out comes the last stage's feature map, without a norm
    after it: the final LayerNorm belongs to the classifier, which puts it behind the pooling. `pyramid_outputs` has the
    maps of all stages.

    Args:
        depths: tuple of int, blocks in each stage. Any number of stages.
        dims: tuple of int, channels of each stage.
        stem: `"patchify"`, `"overlap"` or `"overlap_tiered"`; see `layers.Stem`. Defaults to `"patchify"`.
        stem_patch_size: int, stride of the stem, a power of two. 1 and 2 suit small images. Defaults to 4.
        stem_norm: bool, whether a LayerNorm follows the stem. Defaults to True.
        kernel_size: int, odd side of the depthwise kernels. Defaults to 7.
        mlp_ratio: int, hidden channels of a block over its channels. Defaults to 4.
        layer_scale_init_value: float, or None for no layer scale. Defaults to 1e-6.
        use_grn: bool, Global Response Normalization in each block (V2). Defaults to False.
        norm_eps: float, epsilon of every LayerNorm. Defaults to 1e-6.
        drop_path_rate: float in [0, 1), stochastic depth's rate in the last block; it grows linearly from 0 in the
            first block. Defaults to 0.
        output_stride: int, the largest stride, a power of two. Stages that would pass it keep their size and dilate
            their kernels instead (timm's convention). Defaults to 32.
        level_norm: bool, whether each pyramid level has a LayerNorm of its own, as the authors' detection backbone.
            Defaults to False.
        input_shape: tuple, the shape of one image in `data_format`; None where a size is free. Any number of channels.
            Defaults to `(None, None, 3)`.
        input_tensor: a Keras tensor to build upon, instead of `input_shape`.
        include_preprocessing: bool, whether the first layer turns 0..255 into `(x / 255 - mean) / std`. Without it the
            model takes images that are normalized already. Defaults to True.
        mean: float or tuple of float, in units of 0..1. Defaults to ImageNet's for three channels, and to its average
            for another number.
        std: the same.
        data_format: `"channels_last"` or `"channels_first"`, of the images and of all outputs. Defaults to Keras's
            `image_data_format`. Inside, the layout is always channels last.
        remat: bool, compute each block's branch anew in the backward pass: less memory, more time. Defaults to False.
        preset: str, what the weights were published as. Loading weights sets it; it is kept in the configuration, and
            so in a `.keras` file. Defaults to None.
        license: str, of the weights; likewise. Defaults to None.
        frozen_layers: names of layers that do not train; `freeze_stages` sets them by stage. Defaults to none.
        dtype: of all layers, such as `"mixed_bfloat16"`. Defaults to Keras's global policy.
        trainable: bool. Defaults to True.
        name: str.

    Shapes: `(batch, height, width, channels)` in, `(batch, height // stride, width // stride, dims[-1])` out.

    Raises:
        ValueError: `depths` and `dims` differ in length, images smaller than the network's stride, or another argument
            out of its range.

    Example:

    >>> backbone = ConvNeXtBackbone.from_preset("convnextv2_atto")
    >>> {level: tensor.shape[-1] for level, tensor in backbone.pyramid_outputs.items()}
    {'P2': 40, 'P3': 80, 'P4': 160, 'P5': 320}
    """

    def __init__(
        self,
        depths,
        dims,
        stem="patchify",
        stem_patch_size=4,
        stem_norm=True,
        kernel_size=7,
        mlp_ratio=4,
        layer_scale_init_value=1e-6,
        use_grn=False,
        norm_eps=1e-6,
        drop_path_rate=0.0,
        output_stride=32,
        level_norm=False,
        input_shape=None,
        input_tensor=None,
        include_preprocessing=True,
        mean=None,
        std=None,
        data_format=None,
        remat=False,
        preset=None,
        license=None,
        frozen_layers=(),
        dtype=None,
        trainable=True,
        name=None,
    ):
        depths, dims = tuple(depths), tuple(dims)
        data_format = keras.config.image_data_format() if data_format is None else data_format
        if data_format not in ("channels_last", "channels_first"):
            raise ValueError(f"`data_format` must be channels_last or channels_first. Received: {data_format!r}")
        if input_shape is not None and input_tensor is not None:
            raise ValueError("Give `input_shape` or `input_tensor`, not both.")
        channels_first = data_format == "channels_first"
        plan = _plan(depths, dims, stem_patch_size, output_stride)
        if not 0 <= drop_path_rate < 1:
            raise ValueError(f"`drop_path_rate` must be at least 0 and below 1. Received: {drop_path_rate}")
        if input_tensor is None:
            input_shape = input_shape or ((3, None, None) if channels_first else (None, None, 3))
            image = keras.Input(input_shape, name="image")
        else:
            image = input_tensor
        _check_image(image.shape, channels_first, plan[-1].stride)
        channels = image.shape[1 if channels_first else -1]
        mean = _per_channel("mean", mean, IMAGENET_MEAN, channels)
        std = _per_channel("std", std, IMAGENET_STD, channels)
        if min(std) <= 0:
            raise ValueError(f"`std` must be positive. Received: std={std}")

        # === The graph
        x = keras.layers.Permute((2, 3, 1), dtype=dtype, name="to_channels_last")(image) if channels_first else image
        if include_preprocessing:
            x = keras.layers.Normalization(
                mean=[255 * m for m in mean], variance=[(255 * s) ** 2 for s in std], dtype=dtype, name="normalization"
            )(x)
        x = Stem(dims[0], stem, stem_patch_size, stem_norm, norm_eps, dtype=dtype, name="stem")(x)
        levels = {}
        for stage, (depth, dim, planned) in enumerate(zip(depths, dims, plan, strict=True)):
            if stage > 0:
                x = Downsample(
                    dim,
                    strides=planned.downsample_strides,
                    dilation_rate=planned.downsample_dilation,
                    norm_eps=norm_eps,
                    dtype=dtype,
                    name=f"stage_{stage}_downsample",
                )(x)
            for block in range(depth):
                x = ConvNeXtBlock(
                    kernel_size=kernel_size,
                    mlp_ratio=mlp_ratio,
                    layer_scale_init_value=layer_scale_init_value,
                    use_grn=use_grn,
                    drop_path_rate=drop_path_rate * (sum(depths[:stage]) + block) / max(1, sum(depths) - 1),
                    norm_eps=norm_eps,
                    dilation_rate=planned.dilation,
                    remat=remat,
                    dtype=dtype,
                    name=f"stage_{stage}_block_{block}",
                )(x)
            levels[f"P{planned.stride.bit_length() - 1}"] = (stage, x)
        pyramid = {}
        for level, (stage, y) in levels.items():
            if level_norm:
                y = keras.layers.LayerNormalization(epsilon=norm_eps, dtype=dtype, name=f"stage_{stage}_norm")(y)
            if channels_first:
                y = keras.layers.Permute((3, 1, 2), dtype=dtype, name=f"stage_{stage}_to_channels_first")(y)
            pyramid[level] = y
        if len(pyramid) > 1 and (level_norm or channels_first):
            y = DeepestLevel(dtype=dtype, name="deepest_level")(list(pyramid.values()))
        sources = keras.utils.get_source_inputs(image)
        super().__init__(inputs=sources[0] if len(sources) == 1 else sources, outputs=y, name=name)
        if dtype is not None:
            self.dtype_policy = keras.dtype_policies.get(dtype)

        # === Every argument, for `get_config`
        self.depths = depths
        self.dims = dims
        self.stem = stem
        self.stem_patch_size = stem_patch_size
        self.stem_norm = stem_norm
        self.kernel_size = kernel_size
        self.mlp_ratio = mlp_ratio
        self.layer_scale_init_value = layer_scale_init_value
        self.use_grn = use_grn
        self.norm_eps = norm_eps
        self.drop_path_rate = drop_path_rate
        self.output_stride = output_stride
        self.level_norm = level_norm
        self.include_preprocessing = include_preprocessing
        self.mean = mean
        self.std = std
        self.data_format = data_format
        self.remat = remat
        self.preset = preset
        self.license = license
        self._image = image
        self._pyramid = tuple(pyramid.items())
        if not trainable:
            self.trainable = False
        for layer_name in frozen_layers:
            self.get_layer(layer_name).trainable = False

    @classmethod
    def from_preset(cls, preset, load_weights=True, adapt_stem=False, **changes):
        """A backbone with published weights, or of a variant of `VARIANTS` with new ones.

        Args:
            preset: str, a name that `list_presets()` has, or the hub's name for one in timm or transformers.
            load_weights: bool, whether a checkpoint's weights are loaded, and downloaded where they are not in Keras's
                cache. Defaults to True.
            adapt_stem: bool, whether the weights of the stem are fitted to another number of channels, as
                `load_checkpoint` does it. Defaults to False.
            **changes: arguments of the constructor, in place of the preset's.

        Raises:
            ValueError: an unknown name; the message has the nearest ones. And as `load_published`.

        Example:

        >>> ConvNeXtBackbone.from_preset("convnext_atto", stem_patch_size=1, input_shape=(32, 32, 3)).output.shape
        (None, 4, 4, 320)
        """
        variant, checkpoint = find_preset(preset)
        arguments = {"name": variant, **get_variant(variant).backbone_arguments(), **changes}
        if checkpoint and (checkpoint.mean, checkpoint.std) != (IMAGENET_MEAN, IMAGENET_STD):
            channels = _channels(**{name: changes.get(name) for name in ("input_shape", "input_tensor", "data_format")})
            for name in ("mean", "std"):
                values = getattr(checkpoint, name)
                arguments.setdefault(name, values if channels == 3 else sum(values) / 3)
        backbone = cls(**arguments)
        if checkpoint and load_weights:
            load_published(backbone, checkpoint, adapt_stem)
        return backbone

    @property
    def pyramid_outputs(self):
        """The feature map of each stage by level: `{"P2": tensor, ..., "P5": tensor}`, where level n has stride 2**n.

        The contract of keras-hub's detectors. Where two stages share a stride, the level has the later one.
        """
        return dict(self._pyramid)

    @property
    def pyramid_level_inputs(self):
        """The name of the layer that gives each level: the contract of keras-cv's detectors."""
        return {level: tensor._keras_history.operation.name for level, tensor in self._pyramid}

    def freeze_stages(self, count):
        """Makes the stem and the first `count` stages untrainable, and the rest trainable.

        Call it before `compile`. Which layers train is kept in the configuration, and so in a `.keras` file.

        Args:
            count: int from 0 (the stem alone) to the number of stages; None makes everything trainable.

        Example:

        >>> backbone = ConvNeXtBackbone(depths=(1, 1), dims=(8, 16))
        >>> backbone.freeze_stages(1)
        >>> sorted({weight.path.split("/")[0] for weight in backbone.trainable_weights})
        ['stage_1_block_0', 'stage_1_downsample']
        """
        if count is not None and not 0 <= count <= len(self.depths):
            raise ValueError(f"`count` must be None or from 0 to {len(self.depths)}. Received: {count}")
        frozen = tuple(f"stage_{stage}_" for stage in range(count or 0)) + (("stem",) if count is not None else ())
        self.trainable = True
        for (
            layer
        ) in self.layers:  # each by itself: on TensorFlow, a model that is trainable ignores being told so again
            layer.trainable = not layer.name.startswith(frozen)

    def fuse(self):
        """A copy for inference: layer scale folded into the linear layer before it, one pass less a block.

        The outputs are equal up to rounding. The copy has no layer scale left to train. V2, which has none, is copied.

        Returns:
            `ConvNeXtBackbone`.

        Example:

        >>> ConvNeXtBackbone(depths=(1, 1), dims=(8, 16)).fuse().layer_scale_init_value is None
        True
        """
        fused = self.from_config({**self.get_config(), "layer_scale_init_value": None})
        fold_layer_scale(self, fused)
        return fused

    def call(self, inputs, training=None, mask=None):
        if self._image is self.inputs[0]:
            image = keras.tree.flatten(inputs)[0]
            _check_image(image.shape, self.data_format == "channels_first", self.stride)
        return super().call(inputs, training=training, mask=mask)

    @property
    def stride(self):
        """The stride of the output: an image's sides over the output's."""
        return 2 ** int(self._pyramid[-1][0][1:])

    def get_config(self):
        if self._image is not self.inputs[0]:
            raise ValueError(
                "This backbone was built on the output of other layers, which its own arguments do not describe. Save "
                "keras.Model(backbone.inputs, backbone.outputs) instead: it holds those layers too."
            )
        return {
            "name": self.name,
            "trainable": self.trainable,
            "depths": self.depths,
            "dims": self.dims,
            "stem": self.stem,
            "stem_patch_size": self.stem_patch_size,
            "stem_norm": self.stem_norm,
            "kernel_size": self.kernel_size,
            "mlp_ratio": self.mlp_ratio,
            "layer_scale_init_value": self.layer_scale_init_value,
            "use_grn": self.use_grn,
            "norm_eps": self.norm_eps,
            "drop_path_rate": self.drop_path_rate,
            "output_stride": self.output_stride,
            "level_norm": self.level_norm,
            "input_shape": self.input_shape[1:],
            "include_preprocessing": self.include_preprocessing,
            "mean": self.mean,
            "std": self.std,
            "data_format": self.data_format,
            "remat": self.remat,
            "preset": self.preset,
            "license": self.license,
            "frozen_layers": [layer.name for layer in self.layers if layer.weights and not layer.trainable],
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }


@keras.saving.register_keras_serializable(package="keras_convnext")
class DeepestLevel(keras.layers.Layer):
    """Returns the last of its inputs. All of them, and the layers that gave them, are thereby part of the model."""

    def call(self, inputs):
        return inputs[-1]

    def compute_output_shape(self, input_shape):
        return input_shape[-1]


class _StagePlan(NamedTuple):
    stride: int  # of the stage's feature map
    dilation: int  # of its depthwise convolutions
    downsample_strides: int
    downsample_dilation: int


def _plan(depths, dims, stem_patch_size, output_stride):
    """Where each stage halves the map, and where it dilates instead since `output_stride` is reached."""
    if not depths or len(depths) != len(dims):
        raise ValueError(
            "`depths` and `dims` must have the same length, one entry a stage. "
            f"Received: depths={depths} ({len(depths)}), dims={dims} ({len(dims)})"
        )
    if min(*depths, *dims) < 1:
        raise ValueError(f"`depths` and `dims` must be positive. Received: depths={depths}, dims={dims}")
    for name, value in (("stem_patch_size", stem_patch_size), ("output_stride", output_stride)):
        if not isinstance(value, int) or value < 1 or value & (value - 1):
            raise ValueError(f"`{name}` must be a power of two. Received: {name}={value}")
    if output_stride < stem_patch_size:
        raise ValueError(
            "`output_stride` must not be smaller than the stem's stride. "
            f"Received: output_stride={output_stride}, stem_patch_size={stem_patch_size}"
        )
    plan = [_StagePlan(stem_patch_size, 1, 1, 1)]
    for _ in depths[1:]:
        stride, dilation = plan[-1].stride, plan[-1].dilation
        if stride < output_stride:
            plan.append(_StagePlan(2 * stride, dilation, 2, 1))
        else:
            plan.append(_StagePlan(stride, 2 * dilation, 1, dilation))
    return plan


def _check_image(shape, channels_first, stride):
    """Refuses a side that is smaller than the network's stride, and an unknown number of channels.

    A side that is None or symbolic, as in a program that is exported, passes.
    """
    if len(shape) != 4:
        raise ValueError(f"Images have a height, a width and channels. Received: image shape {tuple(shape[1:])}")
    channels, height, width = shape[1:] if channels_first else (shape[-1], *shape[1:-1])
    if channels is None:
        raise ValueError(f"The number of channels must be known. Received: image shape {tuple(shape[1:])}")
    if any(isinstance(side, int) and side < stride for side in (height, width)):
        raise ValueError(
            f"Images of {height}x{width} pixels are smaller than this network's stride of {stride}. Give larger "
            "images, or a smaller `stem_patch_size`. (To export from PyTorch with free sizes, give `input_signature`: "
            "Keras traces with 1 or 2 pixels otherwise.)"
        )


def _channels(input_shape, input_tensor, data_format):
    """How many channels the images have, by those arguments of the backbone."""
    shape = input_shape if input_tensor is None else input_tensor.shape[1:]
    channels_first = (data_format or keras.config.image_data_format()) == "channels_first"
    return 3 if shape is None else shape[0 if channels_first else -1]


def _per_channel(name, value, imagenet, channels):
    """One number a channel: those given, or ImageNet's; its average where there are not three channels."""
    if value is None:
        return imagenet if channels == 3 else (sum(imagenet) / 3,) * channels
    if isinstance(value, Real):
        return (float(value),) * channels
    if len(value) != channels:
        raise ValueError(f"`{name}` must have one number for each of {channels} channels. Received: {name}={value}")
    return tuple(float(v) for v in value)
