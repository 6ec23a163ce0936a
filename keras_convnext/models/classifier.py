"""ConvNeXt with its classification head: pooling, LayerNorm, linear layer (arXiv:2201.03545, section 2.6)."""

import keras

from keras_convnext.checkpoints import find_preset, load_published, require_usual_weights
from keras_convnext.layers.global_pool import GlobalPool
from keras_convnext.layers.initialization import weight_initializer
from keras_convnext.layers.overrides import configured_overrides, override
from keras_convnext.models.backbone import ConvNeXtBackbone
from keras_convnext.models.fuse import fold_layer_scale
from keras_convnext.models.quantization import quantize_linear_layers
from keras_convnext.scalars import flag, integer, number, optional
from keras_convnext.variants import get_variant


@keras.saving.register_keras_serializable(package="keras_convnext")
class ConvNeXtClassifier(keras.Model):
    """A backbone, global average pooling, LayerNorm and a linear layer. Returns logits.

    Under a mixed precision policy pooling and logits are float32.

    Args:
        backbone: a `ConvNeXtBackbone`.
        num_classes: int; 0 leaves the linear layer out and returns the pooled, normalized features (timm's
            convention; where the head has a hidden layer, its activations). Defaults to 1000.
        head_init_scale: float, what the linear layer's initial weights are multiplied by: 0.001 in the paper's
            fine-tuning. Defaults to 1.
        activation: of the output, `"softmax"` for instance. Defaults to None: logits.
        head_norm_first: bool, normalize the feature map before it is pooled. Defaults to False.
        head_hidden_size: int, width of a hidden layer with GELU before the linear one. Defaults to None: no such layer.
        overrides: dict, of layers of the head that were quantized or changed otherwise since they were made: see
            `layers.overrides`. Defaults to None.
        trainable: bool. Defaults to True.
        name: str.

    Shapes: images as the backbone takes them in, `(batch, num_classes)` out.

    Example:

    >>> model = ConvNeXtClassifier.from_preset("convnextv2_atto", num_classes=10)
    >>> model.output.shape
    (None, 10)
    """

    def __init__(
        self,
        backbone,
        num_classes=1000,
        head_init_scale=1.0,
        activation=None,
        head_norm_first=False,
        head_hidden_size=None,
        overrides=None,
        trainable=True,
        name=None,
    ):
        num_classes = integer("num_classes", num_classes)
        head_init_scale = number("head_init_scale", head_init_scale, 0)
        head_norm_first = flag("head_norm_first", head_norm_first)
        head_hidden_size = optional(integer, "head_hidden_size", head_hidden_size, 1)
        if num_classes < 0:
            raise ValueError(f"`num_classes` must not be negative. Received: num_classes={num_classes}")
        dtype = backbone.dtype_policy
        pool = GlobalPool(dtype=dtype.variable_dtype, name="head_pool")
        norm = keras.layers.LayerNormalization(epsilon=backbone.norm_eps, dtype=dtype, name="head_norm")

        # === The graph
        x = backbone(backbone.input)
        if backbone.data_format == "channels_first":
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
        if num_classes:
            head = keras.layers.Dense(
                num_classes,
                activation=activation,
                kernel_initializer=weight_initializer(head_init_scale),
                dtype=dtype.variable_dtype,
                name="head",
            )
            x = override(head, overrides)(x)
        super().__init__(inputs=backbone.input, outputs=x, name=name)
        self.dtype_policy = dtype

        # === Every argument, for `get_config`
        self.backbone = backbone
        self.num_classes = num_classes
        self.head_init_scale = head_init_scale
        self.activation = None if activation == "linear" else activation
        self.head_norm_first = head_norm_first
        self.head_hidden_size = head_hidden_size
        if not trainable:
            self.trainable = False

    @classmethod
    def from_preset(
        cls,
        preset,
        num_classes=None,
        load_weights=True,
        adapt_stem=False,
        head_init_scale=1.0,
        activation=None,
        name=None,
        **changes,
    ):
        """A classifier with published weights, or of a variant of `VARIANTS` with new ones.

        Args:
            preset: str, a name that `list_presets()` has, or the hub's name for one in timm or transformers.
            num_classes: int; where a checkpoint has another number, the last layer is new. Defaults to the
                checkpoint's own, and to 1000.
            load_weights: bool, whether a checkpoint's weights are loaded, and downloaded where they are not in Keras's
                cache. Defaults to True.
            adapt_stem: bool, whether the weights of the stem are fitted to another number of channels, as
                `load_checkpoint` does it. Defaults to False.
            head_init_scale, activation, name: of the classifier.
            **changes: arguments of the head or of `ConvNeXtBackbone`, in place of the preset's.

        Raises:
            ValueError: an unknown name; the message has the nearest ones. And as `load_published`.

        Example:

        >>> model = ConvNeXtClassifier.from_preset("convnext_atto", num_classes=3, drop_path_rate=0.1)
        >>> model.backbone.drop_path_rate
        0.1
        """
        variant, checkpoint = find_preset(preset)
        if num_classes is None:
            num_classes = checkpoint.num_classes if checkpoint else 1000
        head = {key: changes.pop(key, value) for key, value in get_variant(variant).head_arguments().items()}
        model = cls(
            backbone=ConvNeXtBackbone.from_preset(preset, load_weights=False, **changes),
            num_classes=num_classes,
            head_init_scale=head_init_scale,
            activation=activation,
            name=name or f"{variant}_classifier",
            **head,
        )
        if checkpoint and load_weights:
            load_published(model, checkpoint, adapt_stem)
        return model

    def fuse(self):
        """A copy for inference, not compiled: see `ConvNeXtBackbone.fuse`.

        Returns:
            `ConvNeXtClassifier`.

        Raises:
            ValueError: a model that was quantized, or has LoRA.

        Example:

        >>> ConvNeXtClassifier.from_preset("convnext_atto", num_classes=3).fuse().num_classes
        3
        """
        require_usual_weights(self, "fuse")
        arguments = {**self.get_config(), "backbone": self.backbone.fuse()}
        fused = type(self)(**arguments)
        fold_layer_scale(self, fused)
        return fused

    def quantize(self, mode=None, config=None, **kwargs):
        """Quantizes the weights of all linear layers, in place: the pointwise layers and the head's.

        As `keras.Model.quantize`, which has the modes, and without its warning for each layer that has none. Do it
        last: `fuse`, `transfer` and the layouts of other packages are for float weights.

        Args:
            mode: `"int8"`, `"int4"` or `"float8"`.
            config: a `keras.quantizers.QuantizationConfig`, for other quantizers than the usual ones.
            **kwargs: `filters`, a regex or a list of them, of the names of the layers to quantize.

        Raises:
            ValueError: a mode that needs calibration data, no layer that can be quantized, or one that is quantized.

        Example:

        >>> model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10)
        >>> model.quantize("int8", filters="head")
        >>> model.get_layer("head").dtype_policy.name
        'int8_from_float32'
        """
        quantize_linear_layers(self, super().quantize, mode, config, **kwargs)

    def compile_from_config(self, config):
        """Compiles a loaded model, with `jit_compile="auto"`.

        Keras saves what "auto" came to on the backend that saved. Loaded on another, True from JAX would start
        `torch.compile`, and False from torch would leave JAX to run operation by operation.
        """
        super().compile_from_config({**config, "jit_compile": "auto"})

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "num_classes": self.num_classes,
            "head_init_scale": self.head_init_scale,
            "activation": self.activation and keras.activations.serialize(keras.activations.get(self.activation)),
            "head_norm_first": self.head_norm_first,
            "head_hidden_size": self.head_hidden_size,
            "overrides": configured_overrides(self),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        backbone = keras.saving.deserialize_keras_object(config["backbone"], custom_objects=custom_objects)
        return cls(**{**config, "backbone": backbone})
