"""The model whose weights are in a file, whoever wrote it."""

from pathlib import Path
from typing import NamedTuple

import keras

from keras_convnext.checkpoints import identify, load_checkpoint, read_arrays
from keras_convnext.models import ConvNeXtClassifier, load_classifier


class Loaded(NamedTuple):
    """A model, whose names its file has for the weights, and its variant; None of a whole `.keras` model."""

    model: keras.Model
    layout: str
    variant: str | None


def load_file(path, variant=None, ema=False):
    """The model whose weights are in a file: a `ConvNeXtBackbone` where the file has no head, else a classifier.

    Args:
        path: of a `.keras` file, or of any that `load_checkpoint` reads.
        variant: str, a name in `VARIANTS`, in place of the one that is found.
        ema: bool, as for `load_checkpoint`. Defaults to False.

    Returns:
        `Loaded`.

    Raises:
        ValueError: a file that cannot be read, or is of no variant.
    """
    if Path(path).suffix == ".keras":
        if variant:
            raise ValueError(f"--variant {variant}: a .keras file is of a model already.")
        if ema:
            raise ValueError(f"{path}: --ema is for a file of torch.")
        return Loaded(load_classifier(path), "keras_convnext", None)
    arrays = read_arrays(path, ema)
    try:
        found, classes = identify(arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    model = ConvNeXtClassifier.from_preset(variant or found, num_classes=classes or 0)
    model = model.backbone if classes is None else model
    return Loaded(model, load_checkpoint(model, path, ema=ema), variant or found)
