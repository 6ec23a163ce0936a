"""The weights of other packages' ConvNeXts, in and out, and where they are published."""

from keras_convnext.checkpoints.catalog import (
    CHECKPOINTS,
    SQUASH_FROM,
    Checkpoint,
    find_preset,
    list_presets,
)
from keras_convnext.checkpoints.checkpoint import (
    WRITTEN,
    check_target,
    load_arrays,
    load_checkpoint,
    load_published,
    published_arrays,
    save_checkpoint,
)
from keras_convnext.checkpoints.download import cached_path
from keras_convnext.checkpoints.files import called_keras, is_keras, read_arrays
from keras_convnext.checkpoints.identify import has_level_norms, identify
from keras_convnext.checkpoints.imagenet import imagenet_classes
from keras_convnext.checkpoints.origin import origin_of, restriction
from keras_convnext.checkpoints.usual_weights import is_quantized, layers_that, require_usual_weights

__all__ = [
    "CHECKPOINTS",
    "SQUASH_FROM",
    "WRITTEN",
    "Checkpoint",
    "cached_path",
    "called_keras",
    "check_target",
    "find_preset",
    "has_level_norms",
    "identify",
    "imagenet_classes",
    "is_keras",
    "is_quantized",
    "layers_that",
    "list_presets",
    "load_arrays",
    "load_checkpoint",
    "load_published",
    "origin_of",
    "published_arrays",
    "read_arrays",
    "require_usual_weights",
    "restriction",
    "save_checkpoint",
]
