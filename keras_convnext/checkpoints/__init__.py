"""The weights of other packages' ConvNeXts, in and out, and where they are published."""

from keras_convnext.checkpoints.catalog import CHECKPOINTS, Checkpoint, find_preset, list_presets
from keras_convnext.checkpoints.checkpoint import (
    WRITTEN,
    check_target,
    load_checkpoint,
    load_published,
    save_checkpoint,
)
from keras_convnext.checkpoints.download import cached_path
from keras_convnext.checkpoints.files import read_arrays
from keras_convnext.checkpoints.identify import identify
from keras_convnext.checkpoints.imagenet import imagenet_classes

__all__ = [
    "CHECKPOINTS",
    "WRITTEN",
    "Checkpoint",
    "cached_path",
    "check_target",
    "find_preset",
    "identify",
    "imagenet_classes",
    "list_presets",
    "load_checkpoint",
    "load_published",
    "read_arrays",
    "save_checkpoint",
]
