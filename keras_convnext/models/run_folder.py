"""What the models know about a run folder: how to recognize it, and which file in it is the model.

`training.Run` writes run folders, and its docstring says what else is in them.
"""

import json
from pathlib import Path
from typing import Any

CONFIG = "config.json"
MODEL = "model.keras"
STATE = "state"


def _are(kind, values):
    return isinstance(values, list) and bool(values) and all(type(value) is kind for value in values)


VALID = {
    "class_names": lambda names: _are(str, names),
    "image_shape": lambda shape: _are(int, shape) and len(shape) == 3 and min(shape) > 0,
    "recipe": lambda recipe: isinstance(recipe, dict),
}
"""What every run's `config.json` must have, and whether a value is one that a run writes.

These settings suffice to prepare images for the model and to name its classes.
"""


def read_run_config(path: str | Path) -> dict:
    """Reads the `config.json` of a run folder.

    Args:
        path: path of the folder.

    Raises:
        ValueError: the path is not a run folder; the message says what it lacks.
    """
    place = Path(path) / CONFIG
    if not Path(path).exists():
        raise ValueError(f"No such file or folder: {path}")
    if not place.is_file():
        raise ValueError(f"{path}: not a run folder: it has no {CONFIG}.")
    config = read_json(place)
    missing = set(VALID) - set(config if isinstance(config, dict) else ())
    if missing:
        raise ValueError(f"{path}: not a run folder: its {CONFIG} has no {', '.join(sorted(missing))}.")
    for name, is_valid in VALID.items():
        if not is_valid(config[name]):
            raise ValueError(f"{path}: not a run folder: its {CONFIG} has an invalid {name}, {config[name]!r}.")
    return config


def is_run(path: str | Path) -> bool:
    """Whether a path is that of a run folder."""
    try:
        read_run_config(path)
    except ValueError:
        return False
    return True


def run_of(path: str | Path) -> Path | None:
    """The run folder that contains a file, directly or in the folder of its state; None if there is none."""
    folder = Path(path).absolute().parent
    folders = [folder, folder.parents[1]] if folder.parent.name == STATE else [folder]
    return next(filter(is_run, folders), None)


def read_json(path: str | Path) -> Any:
    """Reads a JSON file.

    Raises:
        ValueError: there is no such file, or it is not JSON.
    """
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError as error:
        raise ValueError(f"No such file or folder: {path}") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not readable ({error}).") from error
