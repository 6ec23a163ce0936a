"""The run: the folder in which a training keeps its models, figures and state.

    RUN/model.keras    the model of the best epoch on the validation images; with a moving average, the best average
        model_raw.keras  with a moving average, the best of the weights themselves
        config.json    recipe, class names, image shape, data, variant, versions
        history.csv    a row per epoch
        metrics.json   the scores on the test images, computed once, at the end
        curves.png     loss and accuracy by epoch, with the best epoch marked
        confusion.png  the confusion matrix, and
        mistakes.png   the worst mistakes: on the test images, or on the validation images if there are no test images
        logs/          logs for TensorBoard, on request
        state/epoch-N/ what a resumed training needs of the last complete epoch: model with optimizer, moving average,
                       states of random generators, history

Every file, and the folder of the state, is written under a temporary name, flushed to disk and then renamed. A file
under its own name is therefore always complete.
"""

import csv
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_convnext.data import ImageData
from keras_convnext.models import load_model
from keras_convnext.models.run_folder import CONFIG, MODEL, STATE, read_json, read_run_config
from keras_convnext.training.run_paths import refuse_existing

METRICS = "metrics.json"
LOGS = "logs"


class Run:
    """A run folder.

    Args:
        path: path of the folder.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from keras_convnext.training import Run
    >>> run = Run.create(Path(tempfile.mkdtemp()) / "first", {"class_names": ["cat", "dog"]})
    >>> run.config["class_names"]
    ['cat', 'dog']
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    @classmethod
    def create(cls, path: str | Path, config: dict) -> "Run":
        """Creates a run folder with its `config.json`.

        Args:
            path: path of the new folder.
            config: content of `config.json`, as JSON types.

        Raises:
            ValueError: `path` exists already.
        """
        path = Path(path)
        refuse_existing(path)
        path.mkdir(parents=True)
        run = cls(path)
        run.write_json(CONFIG, config)
        return run

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """Opens an existing run folder.

        Args:
            path: path of the folder.

        Raises:
            ValueError: there is no run folder at `path`.
        """
        read_run_config(path)  # raises with what is wrong
        return cls(path)

    @property
    def config(self) -> dict:
        """The content of `config.json`."""
        return self.read_json(CONFIG)

    @property
    def metrics(self) -> dict | None:
        """The content of `metrics.json`; None if the run is not complete."""
        return self.read_json(METRICS) if (self.path / METRICS).is_file() else None

    @property
    def model_path(self) -> Path:
        """The path of the best epoch's model."""
        return self.path / MODEL

    @property
    def last_state(self) -> Path | None:
        """The folder of the last complete epoch's state, or None."""
        return max((self.path / STATE).glob("epoch-*[0-9]"), default=None, key=lambda path: int(path.name[6:]))

    def remove(self) -> None:
        """Removes the folder of a training that ended before its first epoch was complete, so that the name is free.

        It removes only files that a training writes, and the folder itself if nothing else is in it.

        Raises:
            ValueError: the run has a complete epoch.
        """
        if self.last_state is not None or self.model_path.exists():
            raise ValueError(f"{self.path}: this run has a complete epoch and is not removed.")
        for place in [self.path / CONFIG, self.path / LOGS, self.path / STATE, *self.path.glob(".partial-*")]:
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def load_model(self) -> keras.Model:
        """Loads the best epoch's model.

        Raises:
            ValueError: there is none, or its file is damaged.
        """
        return load_model(self.model_path)

    def read_json(self, name: str) -> Any:
        """Reads a JSON file in the folder.

        Args:
            name: name of the file.

        Raises:
            ValueError: no such file, or not JSON.
        """
        return read_json(self.path / name)

    def write_json(self, name: str, value: Any) -> None:
        """Writes a JSON file into the folder.

        Args:
            name: name of the file.
            value: a value that `json.dumps` accepts.
        """
        self.write(name, lambda path: write_json(path, value))

    def write_csv(self, name: str, rows: Sequence[dict]) -> None:
        """Writes dicts with the same keys as a CSV file into the folder.

        Args:
            name: name of the file.
            rows: one or more dicts.
        """

        def write(path):
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, fieldnames=list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)

        self.write(name, write)

    def read_csv(self, name: str) -> list[dict[str, str]]:
        """Reads the rows of a CSV file in the folder.

        Args:
            name: name of the file.
        """
        with (self.path / name).open(newline="") as file:
            return list(csv.DictReader(file))

    def write(self, name: str, write_to: Callable[[Path], object]) -> None:
        """Writes a file by `write_to(path)` under a temporary name, flushes it to disk and renames it.

        Args:
            name: name of the file in the folder.
            write_to: function that writes the file to the path that it is given.
        """
        place = self.path / name
        beside = place.with_name(f".partial-{place.name}")
        write_to(beside)
        _flush(beside)
        beside.replace(place)

    def write_state(self, epoch: int, write_to: Callable[[Path], object]) -> Path:
        """Writes the files of `state/epoch-N` by `write_to(folder)`, then removes the states of earlier epochs.

        Args:
            epoch: N, the number of complete epochs.
            write_to: function that writes the files into the folder that it is given.

        Returns:
            The folder of the state.
        """
        place = self.path / STATE / f"epoch-{epoch}"
        beside = place.with_name(f".partial-{place.name}")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        write_to(beside)
        for file in beside.iterdir():
            _flush(file)
        beside.rename(place)
        for other in [*place.parent.glob("epoch-*"), *place.parent.glob(".partial-*")]:
            if other != place:
                shutil.rmtree(other)
        return place


def _flush(path):
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def write_json(path: str | Path, value: Any) -> None:
    """Writes a value as an indented JSON file."""
    Path(path).write_text(json.dumps(value, indent=2) + "\n")


def check_run_data(config: dict, source: str, data: ImageData) -> None:
    """Refuses data that do not fit the model of a run.

    Args:
        config: the run's `config.json`.
        source: the name or path of the data, for the message.
        data: `data.ImageData`.

    Raises:
        ValueError: other classes, or images of another number of channels.
    """
    if list(data.class_names) != config["class_names"]:
        raise ValueError(f"{source}: its classes {data.class_names} are not the run's {tuple(config['class_names'])}.")
    channels, expected = data.channels, config["image_shape"][-1]
    if channels != expected:
        raise ValueError(f"{source}: images of {channels} channels; the run's model takes {expected}.")
