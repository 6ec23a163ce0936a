"""A trained model for another task: its weights, with a new head where the classes are others."""

from keras_convnext.models.classifier import ConvNeXtClassifier


def transfer(model, num_classes, head_init_scale=1.0, **changes):
    """A classifier with a model's weights, to be fine-tuned.

    Args:
        model: a `ConvNeXtClassifier` or a `ConvNeXtBackbone`.
        num_classes: int; the last layer is kept where the model has as many, and new otherwise.
        head_init_scale: float, what a new last layer's weights are multiplied by. Defaults to 1.
        **changes: arguments of `ConvNeXtBackbone` in place of the model's that leave its weights as they are:
            `input_shape`, `drop_path_rate`, `dtype`, `remat`.

    Returns:
        A `ConvNeXtClassifier` that returns logits, not compiled; `model` stays as it was.

    Raises:
        ValueError: a change under which the model has other weights.

    Example:

    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.models import transfer
    >>> pretrained = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=5, input_shape=(8, 8, 1))
    >>> transfer(pretrained, num_classes=3, drop_path_rate=0.1).output.shape
    (None, 3)
    """
    old = getattr(model, "backbone", model)
    backbone = type(old)(**{**old.get_config(), "trainable": True, "frozen_layers": (), **changes})
    head = {"head_norm_first": False, "head_hidden_size": None}
    head = {name: getattr(model, name, default) for name, default in head.items()}
    new = ConvNeXtClassifier(backbone, num_classes, head_init_scale, **head)
    known = {weight.path: weight for weight in model.weights}
    is_new_head = getattr(model, "num_classes", 0) != num_classes
    for weight in new.weights:
        if is_new_head and weight.path.startswith("head/"):
            continue
        source = known.get(weight.path)
        if source is None and weight.path.startswith("head"):  # of a backbone alone
            continue
        if source is None or source.shape != weight.shape:
            known_shape = "none" if source is None else source.shape
            raise ValueError(f"{weight.path}: of shape {weight.shape}; the model has {known_shape}.")
        weight.assign(source)
    return new
