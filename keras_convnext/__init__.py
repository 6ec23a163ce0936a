"""ConvNeXt and ConvNeXt V2 as Keras 3 layers and models, for TensorFlow, JAX and PyTorch."""

from keras_convnext.extras import import_keras
from keras_convnext.startup import in_one_line, keep_interrupts

keep_interrupts()
with in_one_line():
    import_keras()  # before all that needs it, for the sake of its message

# ruff: noqa: E402
from keras_convnext import checkpoints, data, layers, models, preprocessing, profiling, roadmap, training
from keras_convnext.checkpoints import list_presets, load_checkpoint, save_checkpoint
from keras_convnext.models import ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.preprocessing import preprocessor
from keras_convnext.training import RECIPES, Recipe, fit
from keras_convnext.variants import VARIANTS, ConvNeXtConfig

__version__ = "0.2.0"

__all__ = [
    "RECIPES",
    "VARIANTS",
    "ConvNeXtBackbone",
    "ConvNeXtClassifier",
    "ConvNeXtConfig",
    "Recipe",
    "checkpoints",
    "data",
    "fit",
    "layers",
    "list_presets",
    "load_checkpoint",
    "models",
    "preprocessing",
    "preprocessor",
    "profiling",
    "roadmap",
    "save_checkpoint",
    "training",
]
