"""What a user names on the command line where a model is wanted: a preset, a file of weights, or a run folder.

`find_model` tells which it is, `load_file` loads the model whose weights are in a file, whoever wrote it.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import keras

from keras_convnext.checkpoints import (
    CHECKPOINTS,
    Checkpoint,
    assign_arrays,
    find_preset,
    has_level_norms,
    identify,
    is_keras,
    origin_of,
    read_arrays,
    restriction,
)
from keras_convnext.models import ConvNeXtBackbone, ConvNeXtClassifier, load_saved, load_trained
from keras_convnext.training import Run
from keras_convnext.variants import get_variant

SUFFIXES = (".keras", ".pth", ".pt", ".bin", ".safetensors", ".h5")
"""Of files of weights. Names of weights have dots in them too."""

HELP = "a name that `keras-convnext list` prints, a file of weights, or a run folder"


@dataclass(frozen=True)
class Named:
    """What a name stands for: a file, or a preset.

    Attributes:
        path: `Path` of the file of a model; of a run folder that of its best epoch's. None of a preset.
        run: the `Run` whose folder was named, or in whose folder the file is; or None.
        variant: str, the preset's architecture; None of a file.
        checkpoint: the preset's `Checkpoint`; None of a file, and of an architecture alone.
    """

    path: Path | None = None
    run: Run | None = None
    variant: str | None = None
    checkpoint: Checkpoint | None = None


def find_model(name):
    """What a name on the command line stands for. A file or a run folder comes before a preset of the same name.

    Raises:
        ValueError: nothing of the kind there; or a folder that is no run's.
    """
    path = Path(name)
    if name and path.is_dir():
        if Run.is_at(path) or not _is_preset(name):
            run = Run.open(path)
            return Named(run.model_path, run)
    elif path.is_file():
        return Named(path, run_of(path))
    elif path.suffix in SUFFIXES:
        raise ValueError(f"{path}: no such file.")
    try:
        variant, checkpoint = find_preset(name)
    except ValueError as error:
        raise ValueError(
            f"{name or repr(name)}: no run folder, no file, and no name of published weights. {error}"
        ) from error
    return Named(variant=variant, checkpoint=checkpoint)


def run_of(path):
    """The run in whose folder, or in the folder of whose last state, a file is; or None."""
    folder = Path(path).absolute().parent
    folders = [folder, folder.parents[1]] if folder.parent.name == "state" else [folder]
    return next((Run.open(one) for one in folders if Run.is_at(one)), None)


class Loaded(NamedTuple):
    """A model, whose names its file has for the weights, and its variant; None of a whole `.keras` model."""

    model: keras.Model
    layout: str
    variant: str | None


def load_file(path, variant=None, ema=False):
    """The model whose weights are in a file: a `ConvNeXtBackbone` where the file has no head, else a classifier.

    Where the file is a published one, the model has its mean and deviation. What the user should know goes to stderr.

    Args:
        path: of a `.keras` file, or of any that `load_checkpoint` reads. In a run's folder the former may be of another
            functional model, such as a step of `roadmap train`.
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
        model = load_trained(path) if run_of(path) else load_saved(path)
        _say([restriction(getattr(getattr(model, "backbone", model), "license", None))], path)
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
    layout, notes = assign_arrays(model, path, arrays)
    _say(notes)
    return Loaded(model, layout, variant or found)


def _is_preset(name):
    try:
        find_preset(name)
    except ValueError:
        return False
    return True


def _say(notes, path=None):
    for note in filter(None, notes):
        print(f"{path}: {note}" if path else note, file=sys.stderr)
