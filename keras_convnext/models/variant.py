"""Which variant a model is."""

from keras_convnext.variants import VARIANTS

IN_WEIGHTS = ("depths", "dims", "use_grn", "stem", "norm", "hidden_activation")
"""Arguments that tell the variants apart, whatever stride the stem has."""


def variant_of(model, any_stem: bool = False) -> str | None:
    """The name of the variant whose architecture a model has.

    Args:
        model: a `ConvNeXtClassifier` or a `ConvNeXtBackbone`.
        any_stem: whether the stem may have another stride than the variant's, as in trainings on small images. Defaults
            to False.

    Returns:
        A name in `VARIANTS`, or None where no variant has this architecture.

    Example:

    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.models import variant_of
    >>> model = ConvNeXtClassifier.from_preset("convnext_mini", stem_patch_size=2)
    >>> variant_of(model), variant_of(model, any_stem=True)
    (None, 'convnext_mini')
    """
    backbone = getattr(model, "backbone", model)
    if any_stem:
        matches = (
            name
            for name, row in VARIANTS.items()
            if all(getattr(row, argument) == getattr(backbone, argument, None) for argument in IN_WEIGHTS)
        )
        return next(matches, None)
    config = backbone.get_config()
    for name, row in VARIANTS.items():
        arguments = row.backbone_arguments()
        scaled = arguments.pop("layer_scale_init_value") is not None
        if scaled == (config.get("layer_scale_init_value") is not None) and all(
            config.get(argument) == value for argument, value in arguments.items()
        ):
            return name
    return None
