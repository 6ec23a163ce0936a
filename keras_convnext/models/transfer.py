"""Transferring a trained model to another task: its weights, with a new head if the classes differ."""

from typing import Any

import keras

from keras_convnext.checkpoints import require_float_weights
from keras_convnext.models.classifier import ConvNeXtClassifier
from keras_convnext.models.stages import stages_with_norm


def transfer(model: keras.Model, num_classes: int, head_init_scale: float = 1.0, **changes: Any) -> ConvNeXtClassifier:
    """Returns a classifier with the weights of a model, for fine-tuning.

    Args:
        model: a `ConvNeXtClassifier` or a `ConvNeXtBackbone`.
        num_classes: number of classes. If the model has another number, the last layer is randomly initialized.
        head_init_scale: factor of the initial weights of a new last layer. Defaults to 1.
        **changes: arguments of `ConvNeXtBackbone`, in place of the model's. They must keep the shapes of its weights,
            as `input_shape`, `drop_path_rate`, `dtype` and `remat` do. The norms of pyramid levels, which `level_norm`
            adds, are randomly initialized.

    Returns:
        A classifier that returns logits, not compiled. `model` is unchanged.

    Raises:
        ValueError: an argument changes the shapes of weights, or the model is quantized or has LoRA.

    Example:

    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.models import transfer
    >>> pretrained = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=5, input_shape=(8, 8, 1))
    >>> transfer(pretrained, num_classes=3, drop_path_rate=0.1).output.shape
    (None, 3)
    """
    require_float_weights(model, "transfer")
    old = getattr(model, "backbone", model)
    if "level_norm" in changes:
        changes["level_norm"] = stages_with_norm(changes["level_norm"], len(old.depths))
    backbone = type(old).from_config({**_arguments(old, changes), "trainable": True, "frozen_layers": (), **changes})
    head = {"head_norm_first": False, "head_hidden_size": None, "drop_rate": 0.0, "global_pool": "avg"}
    head = {name: getattr(model, name, default) for name, default in head.items()}
    new = ConvNeXtClassifier(backbone, num_classes, head_init_scale, **head)
    level_norms = [f"stage_{stage}_norm/" for stage in range(len(backbone.depths))]
    known = {weight.path: weight for weight in model.weights}
    unknown = [path for path in known.keys() - {weight.path for weight in new.weights} if not path.startswith("head")]
    if unknown:
        raise ValueError(f"Cannot transfer a model whose weights do not match its configuration: {unknown}.")
    is_new_head = getattr(model, "num_classes", 0) != num_classes
    for weight in new.weights:
        if is_new_head and weight.path.startswith("head/"):
            continue
        source = known.get(weight.path)
        if source is None and weight.path.startswith(("head", *level_norms)):  # of a backbone alone
            continue
        if source is None or source.shape != weight.shape:
            known_shape = "none" if source is None else source.shape
            raise ValueError(f"{weight.path}: the classifier needs shape {weight.shape}, the model has {known_shape}.")
        weight.assign(source)
    return new


def _arguments(backbone, changes):
    """The arguments of a backbone, without those of its input if the changes have some."""
    config = {name: value for name, value in backbone.get_config().items() if name != "trainability"}
    if not {"input_shape", "input_tensor"} & changes.keys():
        return config
    if backbone.layers_before:
        raise ValueError(
            f"{backbone.name} is built on the output of other layers, {', '.join(backbone.layers_before)}, and keeps "
            "them. Leave out `input_shape` and `input_tensor`."
        )
    return {name: value for name, value in config.items() if name not in ("input_shape", "input_tensor")}
