"""The ConvNeXt backbone of a model that has one."""

import keras

from keras_convnext.models.backbone import ConvNeXtBackbone
from keras_convnext.models.layer_tree import sublayers


def backbone_of(model: keras.Model) -> ConvNeXtBackbone | None:
    """Returns the ConvNeXt backbone of a classifier, detector or segmenter, or of such a model inside of a model.

    Args:
        model: a model, which may be a backbone itself.

    Returns:
        The backbone. None if there is none, as in a graph that was built on a backbone's output: it has the layers of
        the backbone alone.

    Example:

    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.models import backbone_of
    >>> backbone_of(ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10)).name
    'convnext_mini'
    """
    for layer in (model, *(layer for _, layer, _ in sublayers(model))):
        # keras-hub's detectors have a backbone whose image encoder is ours.
        for found in (layer, getattr(layer, "backbone", None), getattr(layer, "image_encoder", None)):
            if isinstance(found, ConvNeXtBackbone):
                return found
    return None
