"""ConvNeXt with its classification head: pooling, LayerNorm, linear layer (arXiv:2201.03545, section 2.6)."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_convnext.checkpoints import find_preset, load_published_checkpoint, require_float_weights
from keras_convnext.layers.global_pool import POOLINGS, GlobalPool
from keras_convnext.layers.initialization import weight_initializer
from keras_convnext.layers.norm import MODEL_NORMS, make_norm
from keras_convnext.layers.overrides import override
from keras_convnext.models.arguments import check_names
from keras_convnext.models.backbone import ConvNeXtBackbone
from keras_convnext.models.fuse import fold_layer_scale, without_layer_scale
from keras_convnext.models.image_model import ImageModel
from keras_convnext.scalars import flag, integer, number, optional, rate
from keras_convnext.variants import get_variant


@keras.saving.register_keras_serializable(package="keras_convnext")
class ConvNeXtClassifier(ImageModel):
    """A backbone, global average pooling, LayerNorm and a linear layer. Returns logits.

    The layers of the backbone are layers of this model: `get_layer("stage_3_block_0")` returns one of them, and
    `keras.Model(model.input, [model.output, model.get_layer("stage_3_block_0").output])` computes each layer once.
    `backbone` is the model of its layers alone. Under a mixed precision policy, pooling and logits are float32.

    Args:
        backbone: a `ConvNeXtBackbone`.
        num_classes: number of classes. With 0 there is no linear layer, and the model returns the pooled, normalized
            features, or the activations of the head's hidden layer if it has one (timm's convention). Defaults to 1000.
        head_init_scale: factor of the linear layer's initial weights; 0.001 in the paper's fine-tuning. Defaults to 1.
        activation: activation of the output, such as `"softmax"`. Defaults to None, which returns logits.
        head_norm_first: whether the feature map is normalized before it is pooled. Defaults to False.
        head_hidden_size: width of a hidden layer with GELU before the linear layer. Defaults to None, for no hidden
            layer.
        drop_rate: rate of the dropout before the linear layer, in [0, 1). Defaults to 0.
        global_pool: `"avg"`, `"max"`, `"avgmax"` (the mean of both), or None to apply the head to each pixel of the
            feature map. Defaults to `"avg"`.
        frozen_layers: names of layers that are not trainable. A `.keras` file keeps which layers and weights are
            trainable, however that was set. Defaults to none.
        overrides: settings of layers of the head that were changed after they were made, such as quantization; see
            `layers.overrides`. Defaults to None.
        trainable: whether the model is trainable. Defaults to True.
        name: name of the model. Defaults to one that Keras chooses.

    Shapes: `(batch, height, width, channels)` in, `(batch, num_classes)` out. With `global_pool=None` the output is a
    map of the backbone's height and width. Images and map are in the backbone's `data_format`.

    Raises:
        ValueError: an argument is out of its range.

    Example:

    >>> from keras_convnext import ConvNeXtClassifier
    >>> model = ConvNeXtClassifier.from_preset("convnextv2_atto", num_classes=10)
    >>> model.output.shape
    (None, 10)
    """

    _reads_nested = False

    def __init__(
        self,
        backbone: ConvNeXtBackbone,
        num_classes: int = 1000,
        head_init_scale: float = 1.0,
        activation: str | dict | Callable | None = None,
        head_norm_first: bool = False,
        head_hidden_size: int | None = None,
        drop_rate: float = 0.0,
        global_pool: str | None = "avg",
        frozen_layers: Sequence[str] = (),
        overrides: dict | None = None,
        trainable: bool = True,
        name: str | None = None,
    ):
        num_classes = integer("num_classes", num_classes)
        head_init_scale = number("head_init_scale", head_init_scale, 0)
        head_norm_first = flag("head_norm_first", head_norm_first)
        head_hidden_size = optional(integer, "head_hidden_size", head_hidden_size, 1)
        if num_classes < 0:
            raise ValueError(f"`num_classes` must not be negative. Received: num_classes={num_classes}")
        drop_rate = rate("drop_rate", drop_rate)
        if global_pool not in POOLINGS:
            raise ValueError(
                f"`global_pool` must be one of {', '.join(map(repr, POOLINGS))}. Received: global_pool={global_pool!r}"
            )
        dtype = backbone.dtype_policy
        channels_first = backbone.data_format == "channels_first"
        pool = GlobalPool(global_pool, dtype=dtype.variable_dtype, name="head_pool")
        norm = make_norm(backbone.norm, backbone.norm_eps, MODEL_NORMS, dtype=dtype, name="head_norm")

        # === The graph
        x = backbone.output
        if channels_first:
            x = keras.layers.Permute((2, 3, 1), dtype=dtype, name="head_to_channels_last")(x)
        x = pool(norm(x)) if head_norm_first else norm(pool(x))
        if head_hidden_size is not None:
            hidden = keras.layers.Dense(
                head_hidden_size,
                activation="gelu",
                kernel_initializer=weight_initializer(),
                dtype=dtype,
                name="head_hidden",
            )
            x = override(hidden, overrides)(x)
        if drop_rate:
            x = keras.layers.Dropout(drop_rate, dtype=dtype, name="head_dropout")(x)
        if num_classes:
            head = keras.layers.Dense(
                num_classes,
                activation=activation,
                kernel_initializer=weight_initializer(head_init_scale),
                dtype=dtype.variable_dtype,
                name="head",
            )
            x = override(head, overrides)(x)
        if channels_first and global_pool is None:
            x = keras.layers.Permute((3, 1, 2), dtype=x.dtype, name="head_to_channels_first")(x)
        super().__init__(inputs=backbone.input, outputs=x, name=name)
        self.dtype_policy = dtype

        # === Every argument, for `get_config`
        self.backbone = backbone
        self.num_classes = num_classes
        self.head_init_scale = head_init_scale
        self.activation = None if activation == "linear" else activation
        self.head_norm_first = head_norm_first
        self.head_hidden_size = head_hidden_size
        self.drop_rate = drop_rate
        self.global_pool = global_pool
        self._settle(trainable, frozen_layers, [layer.name for layer in backbone.layers])

    @classmethod
    def from_preset(
        cls,
        preset: str,
        num_classes: int | None = None,
        load_weights: bool = True,
        adapt_stem: bool = False,
        head_init_scale: float = 1.0,
        activation: str | dict | Callable | None = None,
        name: str | None = None,
        **changes: Any,
    ) -> "ConvNeXtClassifier":
        """A classifier of a preset: with the weights of a published checkpoint, or a randomly initialized variant.

        Args:
            preset: a name that `list_presets()` returns, or its name on the hub.
            num_classes: number of classes. If it differs from the checkpoint's, the last layer is randomly initialized.
                Defaults to None, which is the checkpoint's number, or 1000 for a variant.
            load_weights: whether to load the checkpoint, and to download it if it is not in Keras's cache. Defaults to
                True.
            adapt_stem: whether to adapt the stem to another number of channels, as `load_checkpoint` does. Defaults to
                False.
            head_init_scale: as for `ConvNeXtClassifier`.
            activation: as for `ConvNeXtClassifier`.
            name: as for `ConvNeXtClassifier`.
            **changes: arguments of the head or of `ConvNeXtBackbone`, in place of the preset's.

        Raises:
            ValueError: the name is unknown; the message has the nearest names. The errors of
                `load_published_checkpoint` are raised too.
            TypeError: the name of an argument is unknown; the message has the nearest name.

        Example:

        >>> from keras_convnext import ConvNeXtClassifier
        >>> model = ConvNeXtClassifier.from_preset("convnext_atto", num_classes=3, drop_path_rate=0.1)
        >>> model.backbone.drop_path_rate
        0.1
        """
        check_names(changes, [cls.from_preset, cls, ConvNeXtBackbone], f"{cls.__name__}.from_preset")
        variant, checkpoint = find_preset(preset)
        if num_classes is None and checkpoint and checkpoint.is_segmenter:
            raise ValueError(
                f"{preset} is a checkpoint of semantic segmentation: `segmentation.UPerNet.from_preset` makes its "
                "model. For a new classifier on its backbone, pass `num_classes`."
            )
        if num_classes is None:
            num_classes = checkpoint.num_classes if checkpoint else 1000
        head = {key: changes.pop(key, value) for key, value in get_variant(variant).head_arguments().items()}
        head |= {key: changes.pop(key) for key in ("drop_rate", "global_pool") if key in changes}
        model = cls(
            backbone=ConvNeXtBackbone.from_preset(preset, load_weights=False, **changes),
            num_classes=num_classes,
            head_init_scale=head_init_scale,
            activation=activation,
            name=name or f"{variant}_classifier",
            **head,
        )
        if checkpoint and load_weights:
            load_published_checkpoint(model, checkpoint, adapt_stem)
        return model

    def reset_classifier(self, num_classes: int, head_init_scale: float = 1.0, **changes: Any) -> "ConvNeXtClassifier":
        """Returns a classifier with a new last layer on the same backbone.

        The head's norm and hidden layer keep their weights. The two models share the backbone's layers, so use the
        returned model in place of this one. `models.transfer` copies the layers instead.

        Args:
            num_classes: number of classes; 0 for no last layer.
            head_init_scale: factor of the new layer's initial weights. Defaults to 1.
            **changes: `drop_rate` and `global_pool`, in place of this model's, or an `activation`. The new model
                returns logits unless `activation` is given.

        Returns:
            The classifier, not compiled.

        Raises:
            ValueError: the head's hidden layer is quantized, or has LoRA.

        Example:

        >>> from keras_convnext import ConvNeXtClassifier
        >>> model = ConvNeXtClassifier.from_preset("convnext_atto", num_classes=1000)
        >>> model.reset_classifier(10, drop_rate=0.2).output.shape
        (None, 10)
        """
        if self.head_hidden_size is not None:
            require_float_weights(self.get_layer("head_hidden"), "reset the head of")
        kept = {
            name: getattr(self, name) for name in ("head_norm_first", "head_hidden_size", "drop_rate", "global_pool")
        }
        new = type(self)(self.backbone, num_classes, head_init_scale, name=self.name, **{**kept, **changes})
        values = {weight.path: weight for weight in self.weights}
        for weight in new.weights:
            if weight.path.startswith(("head_norm/", "head_hidden/")):
                weight.assign(values[weight.path])
        return new

    def fuse(self) -> "ConvNeXtClassifier":
        """Returns a copy for inference, not compiled; see `ConvNeXtBackbone.fuse`.

        Raises:
            ValueError: the model is quantized, or has LoRA.

        Example:

        >>> from keras_convnext import ConvNeXtClassifier
        >>> ConvNeXtClassifier.from_preset("convnext_atto", num_classes=3).fuse().num_classes
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

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """All layers of the graph.

        While a nested file is loaded, the next call returns the layers of that file instead: see `load_own_variables`.
        """
        layers = super().layers
        if not self._reads_nested:
            return layers
        self._reads_nested = False
        inner = {id(layer) for layer in self.backbone.layers}
        return [self.backbone, *(layer for layer in layers if id(layer) not in inner)]

    def load_own_variables(self, store: Any) -> None:
        """Makes `layers`, which Keras loads next, match the file: in version 0.1 the backbone was one nested layer."""
        super().load_own_variables(store)
        path = f"{store._h5_entry_path}/layers/conv_ne_xt_backbone"
        self._reads_nested = store.has_path(path) if hasattr(store, "has_path") else path in store.h5_file

    def get_arguments(self) -> dict:
        """The constructor's arguments, except `name`, `trainable`, `frozen_layers` and `overrides`."""
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "num_classes": self.num_classes,
            "head_init_scale": self.head_init_scale,
            "activation": self.activation and keras.activations.serialize(keras.activations.get(self.activation)),
            "head_norm_first": self.head_norm_first,
            "head_hidden_size": self.head_hidden_size,
            "drop_rate": self.drop_rate,
            "global_pool": self.global_pool,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> "ConvNeXtClassifier":
        backbone = keras.saving.deserialize_keras_object(config["backbone"], custom_objects=custom_objects)
        return cls._from_arguments({**config, "backbone": backbone})
