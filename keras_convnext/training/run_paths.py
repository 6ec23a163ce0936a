"""Where a new run goes: its name, and the check that nothing is there yet."""

import re
from pathlib import Path

from keras_convnext.models.run_folder import CONFIG, MODEL, STATE
from keras_convnext.new_paths import check_new_folder


def refuse_existing(path: str | Path) -> None:
    """Refuses a path at which no new folder can be created. A run never overwrites another.

    Raises:
        ValueError: the path is empty or exists already, or its parent folder cannot be written.
    """
    place = Path(path)
    has_state = any((place / STATE).glob("epoch-*[0-9]"))
    if str(path) and (place / CONFIG).is_file() and not (place / MODEL).exists() and not has_state:
        raise ValueError(
            f"{path} already exists: it is a run in its first epoch, or one that was killed in it. If it is no longer "
            "training, resume it, or remove the folder; otherwise choose another `output`."
        )
    check_new_folder(path)


def run_name(data: str, model: str) -> str:
    """Names a run after its data and after the variant or preset that is trained on them.

    Args:
        data: name or path of the data set.
        model: the variant, or the preset whose checkpoint the training starts from.

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
    name = path.stem if path.suffix in (".npz", ".json") else path.name
    return re.sub(r"[^\w.]+", "-", f"{name}-{model}").strip("-.")


def new_run_path(name: str, root: str | Path = "runs") -> Path:
    """The first free one of `root/name-1`, `root/name-2` ..."""
    number = 1
    while Path(root, f"{name}-{number}").exists():
        number += 1
    return Path(root, f"{name}-{number}")
