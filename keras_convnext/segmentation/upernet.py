"""UPerNet, the paper's model for semantic segmentation (arXiv:1807.10221; arXiv:2201.03545, section 4.2)."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_convnext.checkpoints import find_preset, load_published_checkpoint, require_float_weights
from keras_convnext.layers.initialization import Normal
from keras_convnext.layers.overrides import override
from keras_convnext.models import ConvNeXtBackbone
from keras_convnext.models.arguments import check_names
from keras_convnext.models.fuse import fold_layer_scale, without_layer_scale
from keras_convnext.scalars import integer, integers, number, optional, rate
from keras_convnext.segmentation.auxiliary_training import TrainsAuxiliaryHead
from keras_convnext.segmentation.conv_block import ConvNormRelu
from keras_convnext.segmentation.feature_pyramid import FeaturePyramid
from keras_convnext.segmentation.fusion import LevelFusion
from keras_convnext.segmentation.main_output import MainOutput
from keras_convnext.segmentation.pyramid_pooling import PyramidPooling
from keras_convnext.segmentation.resize import ResizeToImage

ADE20K_CLASSES = 150

HIDDEN_SIZES = {96: 512, 64: 128, 0: 64}
"""The default of `hidden_size` by the least channels of the backbone's first stage; that of `convnext_tiny` has 96."""


@keras.saving.register_keras_serializable(package="keras_convnext")
class UPerNet(TrainsAuxiliaryHead):
    """A backbone, pyramid pooling, a feature pyramid and a classifier of pixels. Returns logits at the images' size.

    The deepest level of the backbone passes the pyramid pooling module, all levels a feature pyramid, whose levels are
    fused at the finest one. While the model trains, an auxiliary head (a 3x3 convolution and a classifier) on the last
    level but one adds to the loss: compile the model with one loss, such as `SegmentationLoss()`, and call `fit` with
    images and label maps. `auxiliary_output` is the tensor of that head's logits.

    The layers of the backbone are layers of this model, and `backbone` is the model of its layers alone. Under a mixed
    precision policy, the logits are float32.

    Args:
        backbone: a `ConvNeXtBackbone` with `level_norm=True` and at least two levels.
        num_classes: number of classes. Defaults to 150, that of ADE20K.
        hidden_size: channels of pyramid pooling, feature pyramid and fusion. Defaults to 512, as in the paper. It
            is 128 for a backbone whose first stage has fewer than 96 channels, and 64 for one with fewer than 64.
        auxiliary_hidden_size: channels of the auxiliary head; 0 for no such head. Defaults to half of `hidden_size`, as
            in the paper.
        pool_scales: numbers of windows along one side in the pyramid pooling. Defaults to `(1, 2, 3, 6)`.
        drop_rate: rate of the dropout of whole channels before the classifiers, in [0, 1). Defaults to 0.1.
        activation: activation of the output, such as `"softmax"`. Defaults to None, which returns logits.
        auxiliary_loss_weight: factor of the auxiliary head's loss. Defaults to 0.4.
        frozen_layers: names of layers that are not trainable. A `.keras` file keeps which layers and weights are
            trainable, however that was set. Defaults to none.
        overrides: settings of layers of the heads that were changed after they were made; see `layers.overrides`.
            Defaults to None.
        trainable: whether the model is trainable. Defaults to True.
        name: name of the model. Defaults to one that Keras chooses.

    Shapes: `(batch, height, width, channels)` in, `(batch, height, width, num_classes)` out, of any height and width
    from the backbone's stride on. Both are in the backbone's `data_format`.

    Raises:
        ValueError: the backbone has no norms of levels or only one level, or another argument is out of its range.

    Example:

    >>> from keras_convnext import ConvNeXtBackbone
    >>> from keras_convnext.segmentation import UPerNet
    >>> backbone = ConvNeXtBackbone(depths=(1, 1, 1, 1), dims=(4, 8, 12, 16), level_norm=True)
    >>> UPerNet(backbone, num_classes=3, hidden_size=8, auxiliary_hidden_size=4).output.shape
    (None, None, None, 3)
    """

    def __init__(
        self,
        backbone: ConvNeXtBackbone,
        num_classes: int = ADE20K_CLASSES,
        hidden_size: int | None = None,
        auxiliary_hidden_size: int | None = None,
        pool_scales: Sequence[int] = (1, 2, 3, 6),
        drop_rate: float = 0.1,
        activation: str | dict | Callable | None = None,
        auxiliary_loss_weight: float = 0.4,
        frozen_layers: Sequence[str] = (),
        overrides: dict | None = None,
        trainable: bool = True,
        name: str | None = None,
    ):
        num_classes = integer("num_classes", num_classes, 1)
        hidden_size = optional(integer, "hidden_size", hidden_size, 1)
        auxiliary_hidden_size = optional(integer, "auxiliary_hidden_size", auxiliary_hidden_size, 0)
        pool_scales = integers("pool_scales", pool_scales, 1)
        drop_rate = rate("drop_rate", drop_rate)
        auxiliary_loss_weight = number("auxiliary_loss_weight", auxiliary_loss_weight, 0)
        _check_backbone(backbone)
        if hidden_size is None:
            hidden_size = next(size for least, size in HIDDEN_SIZES.items() if backbone.dims[0] >= least)
        if auxiliary_hidden_size is None:
            auxiliary_hidden_size = max(1, hidden_size // 2)
        dtype, data_format = backbone.dtype_policy, backbone.data_format
        image = backbone.image

        # === The graph
        levels = list(backbone.pyramid_outputs.values())
        if data_format == "channels_first":
            levels = [
                keras.layers.Permute((2, 3, 1), dtype=dtype, name=f"level_{index}_to_channels_last")(level)
                for index, level in enumerate(levels)
            ]

        def classified(x, prefix=""):
            """The logits of each pixel of a map."""
            if drop_rate:
                dropout = keras.layers.SpatialDropout2D(
                    drop_rate, data_format="channels_last", dtype=dtype, name=f"{prefix}dropout"
                )
                x = dropout(x)
            head = keras.layers.Conv2D(
                num_classes,
                kernel_size=1,
                data_format="channels_last",
                kernel_initializer=Normal(stddev=0.01),
                dtype=dtype.variable_dtype,
                name=f"{prefix}pixel_head",
            )
            return override(head, overrides)(x)

        def resized(logits, name):
            layer = ResizeToImage(activation, data_format, dtype=dtype.variable_dtype, name=name)
            return layer([logits, image])

        pooling = PyramidPooling(hidden_size, pool_scales, dtype=dtype, name="pyramid_pooling")
        pyramid = FeaturePyramid(hidden_size, dtype=dtype, name="feature_pyramid")
        fusion = LevelFusion(hidden_size, dtype=dtype, name="level_fusion")
        deepest = override(pooling, overrides)(levels[-1])
        maps = override(pyramid, overrides)([*levels[:-1], deepest])
        logits = classified(override(fusion, overrides)(maps))
        auxiliary_output = None
        if auxiliary_hidden_size:
            convolution = ConvNormRelu(auxiliary_hidden_size, kernel_size=3, dtype=dtype, name="auxiliary_conv")
            auxiliary = classified(override(convolution, overrides)(levels[-2]), prefix="auxiliary_")
            auxiliary_output = resized(auxiliary, name="auxiliary_logits")
            logits = MainOutput(dtype=dtype.variable_dtype, name="main_output")([logits, auxiliary])
        super().__init__(inputs=backbone.input, outputs=resized(logits, name="logits"), name=name)
        self.dtype_policy = dtype
        self._train_with(auxiliary_output, auxiliary_loss_weight)

        # === Every argument, for `get_config`
        self.backbone = backbone
        self.num_classes = num_classes
        self.hidden_size = hidden_size
        self.auxiliary_hidden_size = auxiliary_hidden_size
        self.pool_scales = pool_scales
        self.drop_rate = drop_rate
        self.activation = None if activation == "linear" else activation
        self._settle(trainable, frozen_layers, [layer.name for layer in backbone.layers])

    @classmethod
    def from_preset(
        cls,
        preset: str,
        num_classes: int | None = None,
        load_weights: bool = True,
        adapt_stem: bool = False,
        name: str | None = None,
        **changes: Any,
    ) -> "UPerNet":
        """A UPerNet of a preset: with published weights, on a pretrained backbone, or randomly initialized.

        Args:
            preset: a name that `list_presets()` returns, or its name on the hub. A checkpoint of a UPerNet gives all
                weights, one of a classifier those of the backbone, and a variant none.
            num_classes: number of classes. If it differs from the checkpoint's, the last layers are randomly
                initialized. Defaults to None, which is the checkpoint's number for a UPerNet, and otherwise 150.
            load_weights: whether to load the checkpoint, and to download it if it is not in Keras's cache. Defaults to
                True.
            adapt_stem: whether to adapt the stem to another number of channels, as `load_checkpoint` does. Defaults to
                False.
            name: as for `UPerNet`.
            **changes: arguments of `UPerNet` or `ConvNeXtBackbone`, in place of the preset's.

        Raises:
            ValueError: the name is unknown; the message has the nearest names. The errors of
                `load_published_checkpoint` are raised too.
            TypeError: the name of an argument is unknown; the message has the nearest name.

        Example:

        >>> from keras_convnext.segmentation import UPerNet
        >>> model = UPerNet.from_preset("convnext_atto", num_classes=3, hidden_size=32, drop_path_rate=0.1)
        >>> model.backbone.drop_path_rate
        0.1
        """
        check_names(changes, [cls.from_preset, cls, ConvNeXtBackbone], f"{cls.__name__}.from_preset")
        variant, checkpoint = find_preset(preset)
        is_whole = checkpoint is not None and checkpoint.is_segmenter
        if num_classes is None:
            num_classes = checkpoint.num_classes if checkpoint is not None and is_whole else ADE20K_CLASSES
        own = inspect.signature(cls).parameters.keys() - {"backbone", "frozen_layers", "overrides", "trainable"}
        heads = {key: changes.pop(key) for key in own & changes.keys()}
        model = cls(
            backbone=ConvNeXtBackbone.from_preset(preset, load_weights=False, **{"level_norm": True, **changes}),
            num_classes=num_classes,
            name=name or f"{variant}_upernet",
            **heads,
        )
        if checkpoint and load_weights:
            load_published_checkpoint(model if is_whole else model.backbone, checkpoint, adapt_stem)
        return model

    def fuse(self) -> "UPerNet":
        """Returns a copy for inference, not compiled; see `ConvNeXtBackbone.fuse`.

        Raises:
            ValueError: the model is quantized, or has LoRA.

        Example:

        >>> from keras_convnext.segmentation import UPerNet
        >>> UPerNet.from_preset("convnext_atto", num_classes=3, hidden_size=32).fuse().num_classes
        3
        """
        require_float_weights(self, "fuse")
        fused = self._from_arguments({**without_layer_scale(self.get_config()), "backbone": self.backbone.fuse()})
        fold_layer_scale(self, fused)
        return fused

    @property
    def data_format(self) -> str:
        """`"channels_last"` or `"channels_first"`, that of the backbone."""
        return self.backbone.data_format

    @property
    def stride(self) -> int:
        """The stride of the backbone's output: the side of an image divided by that of the output."""
        return self.backbone.stride

    @property
    def layers_before(self) -> tuple[str, ...]:
        """The names of the layers that compute the backbone's `input_tensor`, if it has one."""
        return self.backbone.layers_before

    def get_arguments(self) -> dict:
        """The constructor's arguments, except `name`, `trainable`, `frozen_layers` and `overrides`."""
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "num_classes": self.num_classes,
            "hidden_size": self.hidden_size,
            "auxiliary_hidden_size": self.auxiliary_hidden_size,
            "pool_scales": self.pool_scales,
            "drop_rate": self.drop_rate,
            "activation": self.activation and keras.activations.serialize(keras.activations.get(self.activation)),
            "auxiliary_loss_weight": self.auxiliary_loss_weight,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> "UPerNet":
        backbone = keras.saving.deserialize_keras_object(config["backbone"], custom_objects=custom_objects)
        return cls._from_arguments({**config, "backbone": backbone})


def _check_backbone(backbone):
    if not isinstance(backbone, ConvNeXtBackbone):
        raise ValueError(f"`backbone` must be a ConvNeXtBackbone. Received: {type(backbone).__name__}")
    if not backbone.level_norm:
        raise ValueError(
            "UPerNet needs a backbone with a norm of each level. Received: a backbone with level_norm=False. Make it "
            "with level_norm=True."
        )
    if len(backbone.pyramid_outputs) < 2:
        raise ValueError(
            "UPerNet needs a backbone with at least two levels. Received: a backbone with "
            f"{', '.join(backbone.pyramid_outputs)} alone (depths={backbone.depths}, "
            f"output_stride={backbone.output_stride})"
        )
