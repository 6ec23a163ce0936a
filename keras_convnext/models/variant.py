"""Which variant a model is."""

import keras

from keras_convnext.variants import match


def variant_of(model: keras.Model, any_stem: bool = False) -> str | None:
    """The name of the variant whose architecture a model has.

    Args:
        model: a `ConvNeXtClassifier` or a `ConvNeXtBackbone`.
        any_stem: whether to ignore the stride of the stem and the presence of layer scale, which differ from the
            variant's in training on small images. Defaults to False.

    Returns:
        A name in `VARIANTS`, or None if no variant has this architecture.

    Example:

    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.models import variant_of
    >>> model = ConvNeXtClassifier.from_preset("convnext_mini", stem_patch_size=2)
    >>> variant_of(model), variant_of(model, any_stem=True)
    (None, 'convnext_mini')
    """
    ignore = ("stem_patch_size", "layer_scale_init_value") if any_stem else ()
    return match(getattr(model, "backbone", model).get_config(), ignore=ignore)
