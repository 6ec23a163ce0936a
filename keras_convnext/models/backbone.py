"""ConvNeXt without its head: a stem, and stages of blocks with downsampling layers between (arXiv:2201.03545)."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_convnext.checkpoints import find_preset, load_published_checkpoint, require_float_weights
from keras_convnext.layers import ConvNeXtBlock, Downsample, Stem
from keras_convnext.layers.activation import activation_config
from keras_convnext.layers.deepest_level import DeepestLevel
from keras_convnext.layers.norm import MODEL_NORMS, make_norm
from keras_convnext.layers.overrides import override
from keras_convnext.models.arguments import check_names
from keras_convnext.models.fuse import fold_layer_scale, without_layer_scale
from keras_convnext.models.image_model import ImageModel, channels_of, check_image
from keras_convnext.models.stages import (
    kernel_size_per_stage,
    level_names,
    level_norm_config,
    level_norm_from_config,
    plan_stages,
    stages_with_norm,
)
from keras_convnext.normalization import IMAGENET_MEAN, IMAGENET_STD, mean_and_std, normalization_layer, of_channels
from keras_convnext.scalars import flag, image_shape, integer, integers, number, optional, plain, rate
from keras_convnext.variants import get_variant


@keras.saving.register_keras_serializable(package="keras_convnext")
class ConvNeXtBackbone(ImageModel):
    """The feature extractor of a ConvNeXt, V1 or V2.

    The model takes images in 0..255, which its first layer normalizes, and returns the feature map of the last stage.
    No norm follows that stage: the final norm belongs to the classifier, which applies it after the pooling.
    `pyramid_outputs` has the feature maps of all stages.

    Args:
        depths: blocks in each stage. There may be any number of stages.
        dims: channels of each stage.
        stem: `"patchify"`, `"overlap"`, `"overlap_tiered"` or `"overlap_act"`; see `layers.Stem`. Defaults to
            `"patchify"`.
        stem_patch_size: stride of the stem, a power of two. 1 and 2 suit small images. Defaults to 4.
        stem_norm: whether a norm follows the stem. Defaults to True.
        kernel_size: side of the depthwise kernels, an odd number: one for all stages, or one per stage. Defaults to 7.
        mlp_ratio: ratio of hidden to input channels in a block. The number of hidden channels is rounded down. Defaults
            to 4.
        layer_scale_init_value: initial value of the layer scale; None for no layer scale. Defaults to 1e-6.
        use_grn: whether each block has Global Response Normalization (V2). Defaults to False.
        norm_eps: epsilon of every norm. Defaults to 1e-6.
        drop_path_rate: rate of stochastic depth in the last block, in [0, 1). It grows linearly from 0 in the first
            block. Defaults to 0.
        output_stride: the largest stride, a power of two. Stages that would exceed it keep the size of the map and
            dilate their kernels instead (timm's convention). The pyramid keeps a level per stage. Defaults to 32.
        level_norm: whether each pyramid level has a separate norm, as in the authors' detection backbone; or the
            indices of the stages whose levels have one, from 0. Defaults to False.
        input_shape: the shape of one image in `data_format`; None where a size is free. There may be any number of
            channels. Defaults to `(None, None, 3)`.
        input_tensor: the tensor to build the model on, instead of `input_shape`: a `keras.Input` of another name or
            dtype, or the output of other layers. Those layers become part of the model and of its `.keras` file.
            Defaults to None.
        include_preprocessing: whether the first layer turns 0..255 into `(x / 255 - mean) / std`. Without it the model
            takes images that are normalized already. Defaults to True.
        mean: one value for all channels or one per channel, in units of 0..1. Defaults to ImageNet's for three
            channels, and to the average of ImageNet's for another number.
        std: the same for the standard deviation.
        data_format: `"channels_last"` or `"channels_first"`, of the images and of all outputs. Defaults to Keras's
            `image_data_format`. Inside, the layout is always channels last.
        remat: whether to recompute each block's branch in the backward pass: less memory, more time. Defaults to False.
        norm: `"layer_norm"`, `"rms_norm"` or `"simple_norm"` (timm's), for every norm including the head's. Defaults to
            `"layer_norm"`.
        hidden_activation: the blocks' activation: `"gelu"` (exact), `"gelu_tanh"` (its approximation) or another name
            in `keras.activations`, such as `"silu"`. Defaults to `"gelu"`.
        conv_bias: whether the convolutions of stem, downsampling layers and blocks have biases. The MLPs always have
            biases. Defaults to True.
        preset: the name under which the weights were published. Loading weights sets it. It is part of the
            configuration, and so of a `.keras` file. Defaults to None.
        license: the licence of the weights, set and kept in the same way. Defaults to None.
        frozen_layers: names of layers that are not trainable; `freeze_stages` freezes layers by stage. A `.keras` file
            keeps which layers and weights are trainable, however that was set. Defaults to none.
        overrides: settings of layers that were changed after they were made, such as quantization; see
            `layers.overrides`. Defaults to None.
        dtype: dtype policy of all layers, such as `"mixed_bfloat16"`. Defaults to Keras's global policy.
        trainable: whether the model is trainable. Defaults to True.
        name: name of the model. Defaults to one that Keras chooses.

    Shapes: `(batch, height, width, channels)` in, `(batch, height // stride, width // stride, dims[-1])` out.

    Raises:
        ValueError: `depths` and `dims` differ in length, the images are smaller than the network's stride, or another
            argument is out of its range.

    Example:

    >>> from keras_convnext import ConvNeXtBackbone
    >>> backbone = ConvNeXtBackbone.from_preset("convnextv2_atto")
    >>> {level: tensor.shape[-1] for level, tensor in backbone.pyramid_outputs.items()}
    {'P2': 40, 'P3': 80, 'P4': 160, 'P5': 320}
    """

    def __init__(
        self,
        depths: tuple[int, ...],
        dims: tuple[int, ...],
        stem: str = "patchify",
        stem_patch_size: int = 4,
        stem_norm: bool = True,
        kernel_size: int | tuple[int, ...] = 7,
        mlp_ratio: float = 4,
        layer_scale_init_value: float | None = 1e-6,
        use_grn: bool = False,
        norm_eps: float = 1e-6,
        drop_path_rate: float = 0.0,
        output_stride: int = 32,
        level_norm: bool | tuple[int, ...] = False,
        input_shape: tuple[int | None, ...] | None = None,
        input_tensor: keras.KerasTensor | None = None,
        include_preprocessing: bool = True,
        mean: float | tuple[float, ...] | None = None,
        std: float | tuple[float, ...] | None = None,
        data_format: str | None = None,
        remat: bool = False,
        norm: str = "layer_norm",
        hidden_activation: str | dict | Callable = "gelu",
        conv_bias: bool = True,
        preset: str | None = None,
        license: str | None = None,
        frozen_layers: Sequence[str] = (),
        overrides: dict | None = None,
        dtype: str | dict | keras.DTypePolicy | None = None,
        trainable: bool = True,
        name: str | None = None,
    ):
        depths, dims = integers("depths", depths), integers("dims", dims)
        stem_patch_size, output_stride = plain((stem_patch_size, output_stride))
        stem_norm = flag("stem_norm", stem_norm)
        kernel_size, mlp_ratio = plain(kernel_size), number("mlp_ratio", mlp_ratio)
        layer_scale_init_value = optional(number, "layer_scale_init_value", layer_scale_init_value)
        use_grn, conv_bias = flag("use_grn", use_grn), flag("conv_bias", conv_bias)
        norm_eps, drop_path_rate = number("norm_eps", norm_eps, 0), rate("drop_path_rate", drop_path_rate)
        remat = flag("remat", remat)
        input_shape = optional(image_shape, "input_shape", input_shape)
        include_preprocessing = flag("include_preprocessing", include_preprocessing)
        data_format = keras.config.image_data_format() if data_format is None else data_format
        if data_format not in ("channels_last", "channels_first"):
            raise ValueError(f"`data_format` must be channels_last or channels_first. Received: {data_format!r}")
        if input_shape is not None and input_tensor is not None:
            raise ValueError("Give `input_shape` or `input_tensor`, not both.")
        channels_first = data_format == "channels_first"
        plan = plan_stages(depths, dims, stem_patch_size, output_stride)
        kernel_sizes = kernel_size_per_stage(kernel_size, len(depths))
        normed = stages_with_norm(level_norm, len(depths))
        shared: dict[str, Any] = {"norm": norm, "norm_eps": norm_eps, "conv_bias": conv_bias, "dtype": dtype}
        if input_tensor is None:
            input_shape = input_shape or ((3, None, None) if channels_first else (None, None, 3))
            image = keras.Input(input_shape, name="image")
        else:
            image = input_tensor
        check_image(image.shape, channels_first, plan[-1].stride)
        channels = image.shape[1 if channels_first else -1]
        mean, std = mean_and_std(channels, mean, std)

        # === The graph
        is_double = keras.dtype_policies.get(dtype).compute_dtype == "float64"
        exact = "float64" if is_double else "float32"  # bfloat16 cannot hold 129.5, float16 not (255 * 2)**2
        x = keras.layers.Permute((2, 3, 1), dtype=dtype, name="to_channels_last")(image) if channels_first else image
        if include_preprocessing:
            x = normalization_layer(mean, std, dtype=exact, name="normalization")(x)
        stem_layer = Stem(
            dims[0], stem, stem_patch_size, stem_norm, activation=hidden_activation, name="stem", **shared
        )
        x = override(stem_layer, overrides)(x)
        maps = []
        for stage, (depth, dim, planned) in enumerate(zip(depths, dims, plan, strict=True)):
            if stage > 0:
                downsample = Downsample(
                    dim,
                    strides=planned.downsample_strides,
                    dilation_rate=planned.downsample_dilation,
                    name=f"stage_{stage}_downsample",
                    **shared,
                )
                x = override(downsample, overrides)(x)
            for block in range(depth):
                block_layer = ConvNeXtBlock(
                    kernel_size=kernel_sizes[stage],
                    mlp_ratio=mlp_ratio,
                    layer_scale_init_value=layer_scale_init_value,
                    use_grn=use_grn,
                    drop_path_rate=drop_path_rate * (sum(depths[:stage]) + block) / max(1, sum(depths) - 1),
                    dilation_rate=planned.dilation,
                    remat=remat,
                    activation=hidden_activation,
                    name=f"stage_{stage}_block_{block}",
                    **shared,
                )
                x = override(block_layer, overrides)(x)
            maps.append(x)
        pyramid = {}
        for stage, (level, y) in enumerate(zip(level_names(stem_patch_size, len(depths)), maps, strict=True)):
            if stage in normed:
                y = make_norm(norm, norm_eps, MODEL_NORMS, dtype=dtype, name=f"stage_{stage}_norm")(y)
            if channels_first:
                y = keras.layers.Permute((3, 1, 2), dtype=dtype, name=f"stage_{stage}_to_channels_first")(y)
            pyramid[level] = y
        if len(pyramid) > 1 and (normed or channels_first):
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
        self.kernel_size = kernel_sizes if isinstance(kernel_size, (tuple, list)) else kernel_sizes[0]
        self.mlp_ratio = mlp_ratio
        self.layer_scale_init_value = layer_scale_init_value
        self.use_grn = use_grn
        self.norm_eps = norm_eps
        self.drop_path_rate = drop_path_rate
        self.output_stride = output_stride
        self.level_norm = normed if 0 < len(normed) < len(depths) else bool(normed)
        self.include_preprocessing = include_preprocessing
        self.mean = mean
        self.std = std
        self.data_format = data_format
        self.remat = remat
        self.norm = norm
        self.hidden_activation = activation_config(hidden_activation)
        self.conv_bias = conv_bias
        self.preset = preset
        self.license = license
        self._image = image
        self._pyramid = tuple(pyramid.items())
        self._stride = plan[-1].stride
        self.layers_before = ()  # names of the layers that compute `input_tensor`
        if image is not self.inputs[0]:
            self.layers_before = tuple(layer.name for layer in self._front().layers)
        self._settle(trainable, frozen_layers, self.layers_before)

    @classmethod
    def from_preset(
        cls, preset: str, load_weights: bool = True, adapt_stem: bool = False, **changes: Any
    ) -> "ConvNeXtBackbone":
        """A backbone of a preset: with the weights of a published checkpoint, or a randomly initialized variant.

        Args:
            preset: a name that `list_presets()` returns, or its name on the hub.
            load_weights: whether to load the checkpoint, and to download it if it is not in Keras's cache. Defaults to
                True.
            adapt_stem: whether to adapt the stem to another number of channels, as `load_checkpoint` does. Defaults to
                False.
            **changes: arguments of the constructor, in place of the preset's.

        Raises:
            ValueError: the name is unknown; the message has the nearest names. The errors of
                `load_published_checkpoint` are raised too.
            TypeError: the name of an argument is unknown; the message has the nearest name.

        Example:

        >>> from keras_convnext import ConvNeXtBackbone
        >>> ConvNeXtBackbone.from_preset("convnext_atto", stem_patch_size=1, input_shape=(32, 32, 3)).output.shape
        (None, 4, 4, 320)
        """
        check_names(changes, [cls.from_preset, cls], f"{cls.__name__}.from_preset")
        variant, checkpoint = find_preset(preset)
        arguments = {"name": variant, **get_variant(variant).backbone_arguments(), **changes}
        if checkpoint and (checkpoint.mean, checkpoint.std) != (IMAGENET_MEAN, IMAGENET_STD):
            channels = channels_of(*(changes.get(name) for name in ("input_shape", "input_tensor", "data_format")))
            for name in ("mean", "std"):
                arguments.setdefault(name, of_channels(getattr(checkpoint, name), channels or 1))
        if checkpoint and checkpoint.is_segmenter:
            arguments.setdefault("level_norm", True)
        backbone = cls(**arguments)
        if checkpoint and load_weights:
            load_published_checkpoint(backbone, checkpoint, adapt_stem)
        return backbone

    @property
    def pyramid_outputs(self) -> dict[str, keras.KerasTensor]:
        """The feature map of each stage by level: `{"P2": tensor, ..., "P5": tensor}`, where level n has stride 2**n.

        keras-hub's detectors require this property. A smaller `output_stride` changes the strides of the last levels
        and keeps the names, as in keras-hub's dilated ResNet.
        """
        return dict(self._pyramid)

    @property
    def pyramid_level_inputs(self) -> dict[str, str]:
        """The name of the layer that computes each level. keras-cv's detectors require this property."""
        return {level: tensor._keras_history.operation.name for level, tensor in self._pyramid}

    @property
    def embedding_dims(self) -> tuple[int, ...]:
        """The channels of each level, which are `dims`. keras-cv's SegFormer requires this property."""
        return self.dims

    @property
    def hidden_dims(self) -> tuple[int, ...]:
        """The channels of each level, which are `dims`. keras-hub's SegFormer requires this property."""
        return self.dims

    @property
    def image_shape(self) -> tuple[int | None, ...]:
        """The shape of one image in `data_format`. keras-hub's tasks read it from their backbones."""
        return tuple(self._image.shape[1:])

    def freeze_stages(self, count: int | None) -> None:
        """Makes the stem and the first `count` stages untrainable, and the rest trainable.

        Call it before `compile`. The configuration, and so a `.keras` file, keeps which layers are trainable.

        Args:
            count: from 0 (the stem alone) to the number of stages; None makes everything trainable.

        Example:

        >>> from keras_convnext import ConvNeXtBackbone
        >>> backbone = ConvNeXtBackbone(depths=(1, 1), dims=(8, 16))
        >>> backbone.freeze_stages(1)
        >>> sorted({weight.path.split("/")[0] for weight in backbone.trainable_weights})
        ['stage_1_block_0', 'stage_1_downsample']
        """
        count = optional(integer, "count", count)
        if count is not None and not 0 <= count <= len(self.depths):
            raise ValueError(f"`count` must be None or from 0 to {len(self.depths)}. Received: {count}")
        frozen = tuple(f"stage_{stage}_" for stage in range(count or 0)) + (("stem",) if count is not None else ())
        self.trainable = True
        for layer in self.layers:  # one by one: on TensorFlow, setting True on a trainable model changes nothing
            layer.trainable = not layer.name.startswith(frozen)

    def fuse(self) -> "ConvNeXtBackbone":
        """Returns a copy for inference, with layer scale folded into the linear layer before it.

        This saves one pass over the activations per block. The outputs are equal up to rounding. The copy has no layer
        scale left to train. A V2 model has no layer scale, and is copied as it is.

        Raises:
            ValueError: the model is quantized, or has LoRA.

        Example:

        >>> from keras_convnext import ConvNeXtBackbone
        >>> ConvNeXtBackbone(depths=(1, 1), dims=(8, 16)).fuse().layer_scale_init_value is None
        True
        """
        require_float_weights(self, "fuse")
        fused = self.from_config({**without_layer_scale(self.get_config()), "layer_scale_init_value": None})
        fold_layer_scale(self, fused)
        return fused

    @property
    def stride(self) -> int:
        """The stride of the output: the side of an image divided by that of the output."""
        return self._stride

    @property
    def image(self) -> keras.KerasTensor:
        """The tensor of the images: the model's input, or the `input_tensor` that it was built on."""
        return self._image

    def _front(self):
        """The graph from the inputs of the model to the image."""
        return keras.Model(self.inputs, self._image, name="before")

    def get_arguments(self) -> dict:
        """The constructor's arguments, except `name`, `trainable`, `frozen_layers` and `overrides`."""
        image = {"input_shape": self.image_shape}
        is_default = self._image is self.inputs[0] and self._image.name == "image"
        if not is_default or self._image.dtype != "float32" or self._image.shape[0] is not None:
            image = {"input_tensor": keras.saving.serialize_keras_object(self._front())}
        return {
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
            "level_norm": level_norm_config(self),
            **image,
            "include_preprocessing": self.include_preprocessing,
            "mean": self.mean,
            "std": self.std,
            "data_format": self.data_format,
            "remat": self.remat,
            "norm": self.norm,
            "hidden_activation": self.hidden_activation,
            "conv_bias": self.conv_bias,
            "preset": self.preset,
            "license": self.license,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> "ConvNeXtBackbone":
        arguments = dict(config)
        arguments["level_norm"] = level_norm_from_config(arguments)
        if isinstance(front := arguments.get("input_tensor"), dict):
            arguments["input_tensor"] = keras.saving.deserialize_keras_object(front, custom_objects).output
        return cls._from_arguments(arguments)
