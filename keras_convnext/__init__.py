"""ConvNeXt and ConvNeXt V2 as Keras 3 layers and models, for TensorFlow, JAX and PyTorch."""

from keras_convnext import layers, models
from keras_convnext.models import ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.variants import VARIANTS, ConvNeXtConfig, list_presets

__version__ = "0.1.0"

__all__ = [
    "VARIANTS",
    "ConvNeXtBackbone",
    "ConvNeXtClassifier",
    "ConvNeXtConfig",
    "layers",
    "list_presets",
    "models",
]
