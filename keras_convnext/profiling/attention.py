"""Transformers of ConvNeXt-T's cost at 224 pixels, from keras-hub: windowed attention (Swin-T), global (ViT-S/16)."""

from dataclasses import dataclass

import keras

from keras_convnext.extras import require
from keras_convnext.profiling.profile import profile


@dataclass(frozen=True)
class AttentionModel:
    """A row of `ATTENTION_MODELS`.

    Attributes:
        backbone: keras-hub's class.
        stride: what the sides of images are a multiple of.
        arguments: of the class.
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


def attention_model(name, size, num_classes=1000, dtype=None):
    """A classifier of `ATTENTION_MODELS`, with new weights.

    keras-hub's Swin takes no map that is smaller than a window: below 224 pixels all windows have the last map's side.

    Args:
        name: str, `"swin_tiny"` or `"vit_small"`.
        size: int, side of the images in pixels, a multiple of the row's stride.
        num_classes: int. Defaults to 1000.
        dtype: of weights and activations. Defaults to Keras's.

    Returns:
        `keras.Model`, of images to logits.

    Raises:
        ValueError: a size that is no such multiple.
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


def check_size(name, size):
    """Raises ValueError for sides of images that a model of `ATTENTION_MODELS` is not for."""
    stride = ATTENTION_MODELS[name].stride
    if size % stride:
        raise ValueError(f"{name} takes sides of {stride} pixels or a multiple of that. Received: {size}")


def profile_with_attention(model):
    """`profile`, with the products of attention counted: those of Keras's layer and of keras-hub's in windows.

    Args:
        model: a Keras model.

    Returns:
        A `profiling.Profile`.
    """
    kinds = {type(layer) for layer in model._flatten_layers() if type(layer).__name__ == "WindowAttention"}
    return profile(model, attention=True, counts=dict.fromkeys(kinds, _window_attention_macs))


def _window_attention_macs(layer, inputs, output):
    """In each window, each position's query is held against each key, and takes from each value."""
    windows, positions, _ = output
    return 2 * windows * positions**2 * layer.attn_dim
