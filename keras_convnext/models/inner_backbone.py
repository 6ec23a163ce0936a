"""The ConvNeXt backbone of a model that has one."""

import keras

from keras_convnext.models.backbone import ConvNeXtBackbone


def backbone_of(model: keras.Model) -> ConvNeXtBackbone | None:
    """Returns the ConvNeXt backbone of a classifier, detector or segmenter; None if it has another backbone.

    Args:
        model: such a model, or a backbone.

    Example:

    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.models import backbone_of
    >>> backbone_of(ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10)).name
    'convnext_mini'
    """
    for name in ("backbone", "image_encoder"):  # keras-hub's detectors have a backbone whose image encoder is ours
        model = getattr(model, name, model)
    return model if isinstance(model, ConvNeXtBackbone) else None
