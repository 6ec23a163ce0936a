"""The model whose weights are in a file, whoever wrote it."""

import sys
from pathlib import Path
from typing import NamedTuple

import keras

from keras_convnext.checkpoints import (
    CHECKPOINTS,
    has_level_norms,
    identify,
    is_keras,
    load_arrays,
    origin_of,
    read_arrays,
    restriction,
)
from keras_convnext.models import ConvNeXtBackbone, ConvNeXtClassifier, load_saved
from keras_convnext.variants import get_variant


class Loaded(NamedTuple):
    """A model, whose names its file has for the weights, and its variant; None of a whole `.keras` model."""

    model: keras.Model
    layout: str
    variant: str | None


def load_file(path, variant=None, ema=False):
    """The model whose weights are in a file: a `ConvNeXtBackbone` where the file has no head, else a classifier.

    Where the file is a published one, the model has its mean and deviation. What the user should know goes to stderr.

    Args:
        path: of a `.keras` file, or of any that `load_checkpoint` reads.
        variant: str, a name in `VARIANTS`, in place of the one that is found.
        ema: bool, as for `load_checkpoint`. Defaults to False.

    Returns:
        `Loaded`.

    Raises:
        ValueError: a file that cannot be read, or is of no variant.
    """
    if variant:
        get_variant(variant)
    if is_keras(path) or Path(path).suffix == ".keras":
        if variant:
            raise ValueError(f"--variant {variant}: a .keras file is of a model already.")
        if ema:
            raise ValueError(f"{path}: --ema is for a file of torch.")
        model = load_saved(path)
        _say([restriction(getattr(model, "backbone", model).license)], path)
        return Loaded(model, "keras_convnext", None)
    return load_arrays_of(path, read_arrays(path, ema), variant)


def load_arrays_of(path, arrays, variant=None):
    """The same of the arrays that were read from a file."""
    try:
        found, classes = identify(arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    entry = CHECKPOINTS.get(origin_of(path).preset)
    options = {"mean": entry.mean, "std": entry.std} if entry else {}
    options["data_format"] = "channels_last"
    if classes is None:
        model = ConvNeXtBackbone.from_preset(variant or found, level_norm=has_level_norms(arrays), **options)
    else:
        model = ConvNeXtClassifier.from_preset(variant or found, num_classes=classes, **options)
    layout, notes = load_arrays(model, path, arrays)
    _say(notes)
    return Loaded(model, layout, variant or found)


def _say(notes, path=None):
    for note in filter(None, notes):
        print(f"{path}: {note}" if path else note, file=sys.stderr)
