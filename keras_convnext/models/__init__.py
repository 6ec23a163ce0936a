"""The models: the backbone, and the classifier that stands on it."""

from keras_convnext.models.backbone import ConvNeXtBackbone
from keras_convnext.models.classifier import ConvNeXtClassifier
from keras_convnext.models.load import load_classifier, load_saved, load_trained
from keras_convnext.models.transfer import transfer

__all__ = [
    "ConvNeXtBackbone",
    "ConvNeXtClassifier",
    "load_classifier",
    "load_saved",
    "load_trained",
    "transfer",
]
