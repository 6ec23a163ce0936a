"""The run: the folder in which a training keeps its models, figures and state.

    RUN/model.keras    the model of the best epoch on the validation images; with a moving average, the best average
        model_raw.keras  with a moving average, the best of the weights themselves
        config.json    recipe, class names, image shape, data, variant, versions
        history.csv    a row per epoch
        metrics.json   the scores on the test images, computed once, at the end
        curves.png     loss and accuracy by epoch, with the best epoch marked
        confusion.png  which classes are taken for which, and
        mistakes.png   the worst mistakes: of the test images, or of the validation images if there are no test images
        logs/          for TensorBoard, if asked for
        state/epoch-N/ what a resumed training needs of the last complete epoch: model with optimizer, moving average,
                       states of random generators, history

Every file, and the state as a folder, is written beside its place, flushed to disk and then renamed, so that a file
under its own name is always complete.
"""

import csv
import json
import os
import re
import shutil
from pathlib import Path

from keras_convnext.models import load_model
from keras_convnext.models.run_folder import CONFIG, MODEL, STATE, is_run, read_json, read_run_config
from keras_convnext.new_paths import check_new_folder

METRICS = "metrics.json"


class Run:
    """A run folder.

    Args:
        path: of the folder.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from keras_convnext.training import Run
    >>> run = Run.create(Path(tempfile.mkdtemp()) / "first", {"class_names": ["cat", "dog"]})
    >>> run.config["class_names"]
    ['cat', 'dog']
    """

    def __init__(self, path):
        self.path = Path(path)

    @classmethod
    def create(cls, path, config):
        """Makes a new folder with its `config.json`.

        Raises:
            ValueError: there is something at `path` already.
        """
        path = Path(path)
        refuse_existing(path)
        path.mkdir(parents=True)
        run = cls(path)
        run.write_json(CONFIG, config)
        return run

    @classmethod
    def open(cls, path):
        """An existing run folder.

        Raises:
            ValueError: no run folder there.
        """
        read_run_config(path)  # raises with what is wrong
        return cls(path)

    @classmethod
    def is_at(cls, path):
        """Whether there is a run folder."""
        return is_run(path)

    @property
    def config(self):
        """What `config.json` holds, as a dict."""
        return self.read_json(CONFIG)

    @property
    def metrics(self):
        """What `metrics.json` holds, as a dict; None of a run that is not complete."""
        return self.read_json(METRICS) if (self.path / METRICS).is_file() else None

    @property
    def model_path(self):
        """The file of the best epoch's model."""
        return self.path / MODEL

    @property
    def last_state(self):
        """The folder of the last complete epoch's state, or None."""
        return max((self.path / STATE).glob("epoch-*[0-9]"), default=None, key=lambda path: int(path.name[6:]))

    def remove(self):
        """Removes the folder of a training that ended before its first epoch was complete, so that the name is free.

        Only what a training writes goes, and the folder if nothing else is in it.

        Raises:
            ValueError: an epoch was completed.
        """
        if self.last_state is not None or self.model_path.exists():
            raise ValueError(f"{self.path}: has a complete epoch; it is not removed.")
        for place in [
            self.path / "config.json",
            self.path / "logs",
            self.path / "state",
            *self.path.glob(".partial-*"),
        ]:
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def load_model(self):
        """The best epoch's model.

        Raises:
            ValueError: there is none, or its file is damaged.
        """
        return load_model(self.model_path)

    def read_json(self, name):
        """What a JSON file of the folder holds.

        Raises:
            ValueError: no such file, or not JSON.
        """
        return read_json(self.path / name)

    def write_json(self, name, value):
        """Writes a JSON file into the folder."""
        self.write(name, lambda path: write_json(path, value))

    def write_csv(self, name, rows):
        """Writes dicts of the same keys as a CSV file into the folder."""

        def write(path):
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, fieldnames=list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)

        self.write(name, write)

    def read_csv(self, name):
        """The rows of a CSV file of the folder, as dicts of str."""
        with (self.path / name).open(newline="") as file:
            return list(csv.DictReader(file))

    def write(self, name, write_to):
        """Has `write_to(path)` write a file beside its place, flushes it to disk and renames it."""
        place = self.path / name
        beside = place.with_name(f".partial-{place.name}")
        write_to(beside)
        _flush(beside)
        beside.replace(place)

    def write_state(self, epoch, write_to):
        """Has `write_to(folder)` write the files of `state/epoch-N`; then the earlier epochs' go."""
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


def write_json(path, value):
    """Writes a value as an indented JSON file."""
    Path(path).write_text(json.dumps(value, indent=2) + "\n")


def check_run_data(config, source, data):
    """Refuses data that are not for the model of a run.

    Args:
        config: dict, the run's `config.json`.
        source: str, the name or path of the data, for the message.
        data: `data.ImageData`.

    Raises:
        ValueError: other classes, or images of another number of channels.
    """
    if list(data.class_names) != config["class_names"]:
        raise ValueError(f"{source}: its classes {data.class_names} are not the run's {tuple(config['class_names'])}.")
    channels, expected = data.channels, config["image_shape"][-1]
    if channels != expected:
        raise ValueError(f"{source}: images of {channels} channels; the run's model takes {expected}.")


def refuse_existing(path):
    """Refuses a path that no new folder can be made at: a run never writes over another.

    Raises:
        ValueError: an empty path, something that is there already, or a folder around it that cannot be written.
    """
    place = Path(path)
    if str(path) and (place / CONFIG).is_file() and not (place / MODEL).exists() and Run(place).last_state is None:
        raise ValueError(
            f"{path} already exists: a run in its first epoch, or one that was killed in it. If it does not train any "
            "more, remove the folder; else choose another `output`."
        )
    check_new_folder(path)


def run_name(data, model):
    """A name for a run: that of its data, and that of the variant or preset that is trained on them.

    Args:
        data: str, name or path of the data set.
        model: str, the variant, or the preset whose checkpoint the training starts with.

    Example:

    >>> from keras_convnext.training.run import run_name
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


def new_run_path(name, root="runs"):
    """The first free one of `root/name-1`, `root/name-2` ..."""
    number = 1
    while Path(root, f"{name}-{number}").exists():
        number += 1
    return Path(root, f"{name}-{number}")
