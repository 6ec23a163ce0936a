"""Transformers of ConvNeXt-T's cost at 224 pixels, from keras-hub: windowed attention (Swin-T), global (ViT-S/16)."""

import keras

from keras_convnext.extras import require
from keras_convnext.profiling.profile import profile

WINDOW = 7
STRIDES = {"swin_tiny": 32, "vit_small": 16}
"""What the sides of images must be a multiple of."""


def swin_tiny(size, num_classes=1000, dtype=None):
    """Swin-T (arXiv:2103.14030): attention within windows of 7 x 7 positions.

    keras-hub's takes no map that is smaller than a window. So below 224 pixels all windows are of the last map's side.

    Args:
        size: int, side of the images in pixels, a multiple of 32.
        num_classes: int. Defaults to 1000.
        dtype: of weights and activations. Defaults to Keras's.

    Returns:
        `keras.Model`, of images to logits.

    Raises:
        ValueError: `size` is no multiple of 32.
        ModuleNotFoundError: keras-hub is not installed.
    """
    check_size("swin_tiny", size)
    backbone = require("keras_hub", extra="hub").models.SwinTransformerBackbone(
        image_shape=(size, size, 3),
        embed_dim=96,
        depths=(2, 2, 6, 2),
        num_heads=(3, 6, 12, 24),
        window_size=min(WINDOW, size // STRIDES["swin_tiny"]),
        drop_path=0.0,
        dtype=dtype,
    )
    return _with_head(backbone, num_classes, dtype)


def vit_small(size, num_classes=1000, dtype=None):
    """ViT-S/16 (arXiv:2010.11929, arXiv:2012.12877): attention of every patch of 16 x 16 pixels to every other.

    Args:
        size: int, side of the images in pixels, a multiple of 16.
        num_classes: int. Defaults to 1000.
        dtype: of weights and activations. Defaults to Keras's.

    Returns:
        `keras.Model`, of images to logits.

    Raises:
        ValueError: `size` is no multiple of 16.
        ModuleNotFoundError: keras-hub is not installed.
    """
    check_size("vit_small", size)
    backbone = require("keras_hub", extra="hub").models.ViTBackbone(
        image_shape=(size, size, 3),
        patch_size=16,
        num_layers=12,
        num_heads=6,
        hidden_dim=384,
        mlp_dim=1536,
        dtype=dtype,
    )
    return _with_head(backbone, num_classes, dtype)


ATTENTION_MODELS = {"swin_tiny": swin_tiny, "vit_small": vit_small}


def check_size(name, size):
    """Raises ValueError for sides of images that a model of `ATTENTION_MODELS` is not for."""
    if size % STRIDES[name]:
        raise ValueError(f"{name} takes sides of {STRIDES[name]} pixels or a multiple of that. Received: {size}")


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


def _with_head(backbone, num_classes, dtype):
    features = keras.layers.GlobalAveragePooling1D(dtype=dtype)(backbone.output)
    return keras.Model(backbone.input, keras.layers.Dense(num_classes, dtype=dtype, name="head")(features))
