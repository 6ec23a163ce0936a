"""Reading and writing checkpoints, which are files of published or converted weights, and their catalog.

A *preset* is a name in the catalog: a variant, or a published checkpoint. A *layout* is how a source, such as timm,
names and stores the weights in its checkpoints.
"""

from keras_convnext.checkpoints.ade20k import Ade20kClass, ade20k_classes
from keras_convnext.checkpoints.catalog import (
    CHECKPOINTS,
    SQUASH_FROM,
    Checkpoint,
    find_preset,
    list_presets,
)
from keras_convnext.checkpoints.checkpoint import (
    WRITTEN,
    assign_arrays,
    check_target,
    check_target_path,
    load_checkpoint,
    load_published_checkpoint,
    read_published,
    save_checkpoint,
)
from keras_convnext.checkpoints.download import cached_path
from keras_convnext.checkpoints.float_weights import is_quantized, layers_that, require_float_weights
from keras_convnext.checkpoints.identify import has_level_norms, identify, patchify_stem_of, segmenter_arguments
from keras_convnext.checkpoints.imagenet import imagenet_classes
from keras_convnext.checkpoints.keras_files import is_keras, with_keras_suffix
from keras_convnext.checkpoints.origin import origin_of, restriction
from keras_convnext.checkpoints.read import read_arrays

__all__ = [
    "CHECKPOINTS",
    "SQUASH_FROM",
    "WRITTEN",
    "Ade20kClass",
    "Checkpoint",
    "ade20k_classes",
    "assign_arrays",
    "cached_path",
    "check_target",
    "check_target_path",
    "find_preset",
    "has_level_norms",
    "identify",
    "imagenet_classes",
    "is_keras",
    "is_quantized",
    "layers_that",
    "list_presets",
    "load_checkpoint",
    "load_published_checkpoint",
    "origin_of",
    "patchify_stem_of",
    "read_arrays",
    "read_published",
    "require_float_weights",
    "restriction",
    "save_checkpoint",
    "segmenter_arguments",
    "with_keras_suffix",
]
