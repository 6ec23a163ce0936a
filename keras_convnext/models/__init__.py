"""The models: the backbone, the classifier built on it, and loading a model from a name, a file or a run folder."""

from keras_convnext.models.backbone import ConvNeXtBackbone
from keras_convnext.models.classifier import ConvNeXtClassifier
from keras_convnext.models.inner_backbone import backbone_of
from keras_convnext.models.load import LoadedModel, ModelSource, find_model, load_model, load_model_and_facts
from keras_convnext.models.logits import returns_logits
from keras_convnext.models.transfer import transfer
from keras_convnext.models.variant import variant_of

__all__ = [
    "ConvNeXtBackbone",
    "ConvNeXtClassifier",
    "LoadedModel",
    "ModelSource",
    "backbone_of",
    "find_model",
    "load_model",
    "load_model_and_facts",
    "returns_logits",
    "transfer",
    "variant_of",
]
