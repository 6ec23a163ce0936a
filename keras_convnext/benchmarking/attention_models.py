"""Transformers from keras-hub that cost as much as ConvNeXt-T at 224 pixels: Swin-T (windows) and ViT-S/16 (global)."""

from dataclasses import dataclass

import keras

from keras_convnext.extras import require
from keras_convnext.profiling import Profile, profile


@dataclass(frozen=True)
class AttentionModel:
    """A row of `ATTENTION_MODELS`.

    Attributes:
        backbone: name of the class in keras-hub.
        stride: the sides of images are multiples of this.
        arguments: arguments of the class.
    """

    backbone: str
    stride: int
    arguments: dict


ATTENTION_MODELS = {
    # arXiv:2103.14030, section 3.3
    "swin_tiny": AttentionModel(
        "SwinTransformerBackbone",
        stride=32,
        arguments={
            "embed_dim": 96,
            "depths": (2, 2, 6, 2),
            "num_heads": (3, 6, 12, 24),
            "window_size": 7,
            "drop_path": 0.0,
        },
    ),
    # arXiv:2010.11929; its small size is DeiT-S of arXiv:2012.12877, Table 1
    "vit_small": AttentionModel(
        "ViTBackbone",
        stride=16,
        arguments={"patch_size": 16, "num_layers": 12, "num_heads": 6, "hidden_dim": 384, "mlp_dim": 1536},
    ),
}


def attention_model(name: str, size: int, num_classes: int = 1000, dtype: str | None = None) -> keras.Model:
    """Builds a classifier of `ATTENTION_MODELS`, randomly initialized.

    The Swin Transformer of keras-hub needs feature maps that are no smaller than a window. Below 224 pixels, the
    windows of all stages therefore have the side of the last feature map.

    Args:
        name: `"swin_tiny"` or `"vit_small"`.
        size: side of the images in pixels, a multiple of the model's stride.
        num_classes: number of classes. Defaults to 1000.
        dtype: type of weights and activations. Defaults to Keras's.

    Returns:
        A model that maps images to logits.

    Raises:
        ValueError: `size` is not a multiple of the stride.
        ModuleNotFoundError: keras-hub is not installed.
    """
    check_size(name, size)
    row = ATTENTION_MODELS[name]
    arguments = dict(row.arguments)
    if "window_size" in arguments:
        arguments["window_size"] = min(arguments["window_size"], size // row.stride)
    models = require("keras_hub", extra="hub").models
    backbone = getattr(models, row.backbone)(
        image_shape=(size, size, 3), data_format="channels_last", dtype=dtype, **arguments
    )
    features = keras.layers.GlobalAveragePooling1D("channels_last", dtype=dtype)(backbone.output)
    return keras.Model(backbone.input, keras.layers.Dense(num_classes, dtype=dtype, name="head")(features))


def check_size(name: str, size: int) -> None:
    """Refuses images whose side is not a multiple of the model's stride.

    Args:
        name: a key of `ATTENTION_MODELS`.
        size: side of the images in pixels.

    Raises:
        ValueError: `size` is not such a multiple.
    """
    stride = ATTENTION_MODELS[name].stride
    if size % stride:
        raise ValueError(f"{name} takes sides of {stride} pixels or a multiple of that. Received: {size}")


def profile_with_attention(model: keras.Model) -> Profile:
    """Profiles a model, with the products of attention: in Keras's layer, and in keras-hub's windows."""
    kinds = {type(layer) for layer in model._flatten_layers() if type(layer).__name__ == "WindowAttention"}
    return profile(model, attention=True, counts=dict.fromkeys(kinds, _window_attention_macs))


def _window_attention_macs(layer, inputs, output):
    """In each window: queries by keys, and weights by values."""
    windows, positions, _ = output
    return 2 * windows * positions**2 * layer.attn_dim
