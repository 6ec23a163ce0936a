"""Where a new run goes: its name, and the check that nothing is there yet."""

import os
import re
from pathlib import Path

from keras_convnext.models.run_folder import CONFIG, MODEL, STATE


def refuse_existing(path: str | Path) -> None:
    """Refuses a path that no new folder can be made at: a run never writes over another.

    Raises:
        ValueError: an empty path, something that is there already, or a folder around it that cannot be written.
    """
    if not str(path):
        raise ValueError("Expected the path of a new folder, got an empty one.")
    path = Path(path)
    if (path / CONFIG).is_file() and not (path / MODEL).exists() and not any((path / STATE).glob("epoch-*[0-9]")):
        raise ValueError(
            f"{path}: exists already: a run in its first epoch, or one that was killed in it. If it does not train any "
            "more, remove the folder; else choose another `output`."
        )
    if path.exists():
        raise ValueError(f"{path}: exists already; a run never writes over another. Choose another `output`.")
    around = next(folder for folder in Path(path).absolute().parents if folder.exists())
    if not around.is_dir():
        raise ValueError(f"{path}: no folder can be made there, since {around} is a file.")
    if not os.access(around, os.W_OK):
        raise ValueError(f"{path}: no folder can be made there, since {around} cannot be written.")


def run_name(data: str, model: str) -> str:
    """A name for a run: that of its data, and that of the variant or preset that is trained on them.

    Args:
        data: name or path of the data set.
        model: the variant, or the preset whose checkpoint the training starts with.

    Example:

    >>> from keras_convnext.training.run_paths import run_name
    >>> run_name("tfds:oxford_iiit_pet", "convnext_atto")
    'tfds-oxford_iiit_pet-convnext_atto'
    >>> run_name("pictures/pets.npz", "timm/convnext_tiny.in12k")
    'pets-timm-convnext_tiny.in12k'
    """
    path = Path(data)
    if path.exists():
        path = path.resolve()  # of "." too
    name = path.stem if path.suffix == ".npz" else path.name
    return re.sub(r"[^\w.]+", "-", f"{name}-{model}").strip("-.")


def new_run_path(name: str, root: str | Path = "runs") -> Path:
    """The first free one of `root/name-1`, `root/name-2` ..."""
    number = 1
    while Path(root, f"{name}-{number}").exists():
        number += 1
    return Path(root, f"{name}-{number}")
