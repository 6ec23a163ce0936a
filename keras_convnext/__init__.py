"""ConvNeXt and ConvNeXt V2 as Keras 3 layers and models, for TensorFlow, JAX and PyTorch."""

from keras_convnext.extras import import_keras
from keras_convnext.startup import in_one_line, start_command
from keras_convnext.version import __version__

start_command()  # in the command's process alone: answers --help and --version, which need no Keras
with in_one_line():
    import_keras()  # before all that needs it, for the sake of its message

# ruff: noqa: E402
from keras_convnext import (
    checkpoints,
    data,
    detection,
    layers,
    models,
    preprocessing,
    profiling,
    roadmap,
    segmentation,
    training,
)
from keras_convnext.checkpoints import list_presets, load_checkpoint, save_checkpoint
from keras_convnext.models import ConvNeXtBackbone, ConvNeXtClassifier, load_model
from keras_convnext.preprocessing import preprocessor
from keras_convnext.training import RECIPES, Experiment, Recipe, fit
from keras_convnext.variants import VARIANTS, ConvNeXtConfig

__all__ = [
    "RECIPES",
    "VARIANTS",
    "ConvNeXtBackbone",
    "ConvNeXtClassifier",
    "ConvNeXtConfig",
    "Experiment",
    "Recipe",
    "__version__",
    "checkpoints",
    "data",
    "detection",
    "fit",
    "layers",
    "list_presets",
    "load_checkpoint",
    "load_model",
    "models",
    "preprocessing",
    "preprocessor",
    "profiling",
    "roadmap",
    "save_checkpoint",
    "segmentation",
    "training",
]
