"""The settings of a whole training, as data: an `Experiment` is what `keras-convnext train` runs."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

import keras

from keras_convnext.dataclass_fields import make_plain
from keras_convnext.extras import require
from keras_convnext.models import find_model
from keras_convnext.models.run_folder import CONFIG, is_run, read_json
from keras_convnext.preprocessing.augmentation.augmentation import UnknownStepError
from keras_convnext.scalars import flag, integer, number
from keras_convnext.training.build import build
from keras_convnext.training.chosen_recipe import (
    adapted_recipe,
    choose_recipe,
    recipe_as_json,
    with_learning_rate,
)
from keras_convnext.training.prepared import PreparedTraining
from keras_convnext.training.recipe import Recipe
from keras_convnext.training.resume import prepare_resumed
from keras_convnext.training.run import Run
from keras_convnext.training.tasks import TASKS, Classification, find_task
from keras_convnext.training.tasks.detection import DETECTORS
from keras_convnext.variants import get_variant

STEMS = (1, 2, 4)
"""Strides of the stem that every variant takes. A variant's own may differ, as that of the isotropic ones does."""

STRINGS = ("data", "task", "variant", "checkpoint", "output", "dtype", "detector", "distribute")
COUNTS = {
    **dict.fromkeys(("stem", "size", "epochs", "batch_size", "accumulate", "hidden_size"), 1),
    **dict.fromkeys(("freeze", "seed"), 0),
}
"""Integers, and the least that each may be."""

FLAGS = ("skip_unreadable", "tensorboard", "remat")


@dataclass(frozen=True)
class Experiment:
    """The settings of a training, as data: model, data set and recipe. `run()` trains and writes a run folder.

    A setting that is None is chosen by the recipe or by the size of the images. All settings are checked when the
    experiment is created; no file is read before `build()`.

    Attributes:
        data: `"digits"`, the path of an `.npz` file or of a folder, or `"tfds:NAME"`; see `data.load_data`. For
            detection and segmentation, what `data.load_annotated` takes. Defaults to `"digits"`, or to
            `"digit_scenes"`.
        variant: a name in `VARIANTS`. Defaults to one that fits the images' size.
        checkpoint: the weights to start from: the name of a preset, a file or a run folder; see `models.load_model`.
            Defaults to None: the weights are randomly initialized.
        stem: stride of the stem: 1, 2, 4 or the variant's own. Defaults to one that fits the images' size, even if
            `variant` is given; see `variants.stem_for`.
        size: side in pixels of the square to which images are resized. Defaults to the recipe's `image_size`. If that
            is None too, arrays keep their size, and image files are resized to 224 pixels.
        recipe: a name in `RECIPES`, a `Recipe`, or a dict of a recipe's settings. A dict with a `base`, the name of a
            recipe, needs only the settings that differ from it. Augmentation steps are stored as dicts. Defaults to
            `"fine_tune"` with a checkpoint, else to `"digits"` for the digits, else to `"small_images"`.
        epochs: number of epochs; warmup and unfreezing keep their share of the training. Defaults to what
            `for_data_size` chooses for the recipe and the number of images.
        batch_size: images per update of the weights; the learning rate scales with it. Defaults to what
            `for_data_size` chooses for the recipe and the number of images.
        learning_rate: peak of the learning rate; it is not scaled with the batch size. Defaults to the recipe's.
        accumulate: as in `Recipe`.
        dtype: as in `Recipe`.
        remat: as in `Recipe`.
        ema: as in `Recipe`.
        drop_path_rate: as in `Recipe`.
        mixup: concentration of MixUp, 0 for none. Only for a recipe with augmentation.
        cutmix: concentration of CutMix, 0 for none. Only for a recipe with augmentation.
        freeze: number of stages of a checkpoint that are frozen, from the first one on. The stem is frozen too.
        seed: as in `Recipe`.
        skip_unreadable: whether image files that cannot be read are left out. Defaults to False.
        tensorboard: whether logs for TensorBoard are written into the run folder. Defaults to False.
        output: path of the new run folder. Defaults to a new folder under `runs/`.
        task: what is trained, a key of `training.tasks.TASKS`. Defaults to `"classification"`.
        detector: for detection, `"retinanet"` (the default) or `"yolov8"`, both of keras-cv.
        hidden_size: for segmentation, as in `segmentation.UPerNet`, which also has the default.
        distribute: `"data"` to train on all devices and in all processes that the launcher started, each with a share
            of each batch; `"fsdp"` to split the weights over them, too (JAX). Defaults to None: one device.

    Raises:
        ValueError: a value out of its range, or settings that exclude each other; the message names the argument.

    Example:

    >>> import tempfile
    >>> from keras_convnext.training import Experiment
    >>> experiment = Experiment(data="digits", epochs=1, output=tempfile.mkdtemp() + "/first")
    >>> Experiment.from_config(experiment.to_config()) == experiment
    True
    >>> run = experiment.run(verbose=0)
    >>> sorted(run.metrics)[:3]
    ['best_epoch', 'epochs', 'seconds']
    """

    data: str | None = None
    variant: str | None = None
    checkpoint: str | None = None
    stem: int | None = None
    size: int | None = None
    recipe: str | dict | Recipe | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    accumulate: int | None = None
    dtype: str | None = None
    remat: bool | None = None
    ema: float | None = None
    drop_path_rate: float | None = None
    mixup: float | None = None
    cutmix: float | None = None
    freeze: int | None = None
    seed: int | None = None
    skip_unreadable: bool = False
    tensorboard: bool = False
    output: str | None = None
    task: str = Classification.name
    detector: str | None = None
    hidden_size: int | None = None
    distribute: str | None = None

    def __post_init__(self):
        for name in ("data", "checkpoint", "output"):
            if isinstance(getattr(self, name), os.PathLike):
                object.__setattr__(self, name, os.fspath(getattr(self, name)))
        make_plain(self)
        if self.data is None and isinstance(self.task, str):
            object.__setattr__(self, "data", find_task(self.task).default_data)
        self._check_kinds()
        if is_dataclass(self.recipe):
            object.__setattr__(self, "recipe", self.recipe.get_config())
        if isinstance(self.recipe, dict):
            object.__setattr__(self, "recipe", recipe_as_json(self.recipe))
        self._check_task()
        self._check_model()
        with_learning_rate(adapted_recipe(choose_recipe(self.chosen_recipe), self), self.learning_rate)

    def _check_kinds(self):
        for name in STRINGS:
            value = getattr(self, name)
            if not (isinstance(value, str) and value) and (value is not None or name in ("data", "task")):
                raise ValueError(f"`{name}` must be a non-empty string. Received: {name}={value!r}")
        for name, least in COUNTS.items():
            if getattr(self, name) is not None:
                integer(name, getattr(self, name), least)
        for name in ("learning_rate", "ema", "drop_path_rate", "mixup", "cutmix"):
            if getattr(self, name) is not None:
                number(name, getattr(self, name), 0)
        for name in FLAGS:
            if getattr(self, name) is not None:
                flag(name, getattr(self, name))

    def _check_task(self):
        task = find_task(self.task)
        for other in TASKS.values():
            foreign = [name for name in other.settings if getattr(self, name) is not None]
            if foreign and not set(foreign) <= set(task.settings):
                raise ValueError(
                    f"`{foreign[0]}` is for {other.name}, and this is {task.name}: leave it out. "
                    f"Received: {foreign[0]}={getattr(self, foreign[0])!r}"
                )
        if self.size is not None:
            task.check_size(self.size)
        if self.detector is not None and self.detector not in DETECTORS:
            raise ValueError(f"`detector` must be one of {', '.join(DETECTORS)}. Received: detector={self.detector!r}")

    def _check_model(self):
        if self.variant and self.checkpoint:
            raise ValueError(
                "`variant` cannot be given with `checkpoint`, which determines the variant: leave out one."
            )
        if self.checkpoint and self.stem:
            raise ValueError("`stem` cannot be given with `checkpoint`, which determines the stem: leave out one.")
        stems = {*STEMS, get_variant(self.variant).stem_patch_size} if self.variant else STEMS
        if self.stem and self.stem not in stems:
            *first, last = map(str, sorted(stems))
            raise ValueError(f"`stem` must be a stride of {', '.join(first)} or {last}. Received: stem={self.stem}")
        if self.checkpoint and not Path(self.checkpoint).exists() and find_model(self.checkpoint).checkpoint is None:
            raise ValueError(f"{self.checkpoint}: an architecture, without weights. Give it as `variant`.")
        if self.freeze is not None and not self.checkpoint:
            raise ValueError(
                "`freeze` is for a `checkpoint`: without one, the frozen stages would stay as they were randomly "
                f"initialized. Received: freeze={self.freeze}"
            )

    @property
    def chosen_recipe(self) -> str | dict:
        """The given recipe, or the name of the default recipe if none is given."""
        if self.recipe is not None:
            return self.recipe  # type: ignore[return-value]  # `__post_init__` made a dict of a `Recipe`
        return find_task(self.task).default_recipe(self)

    @classmethod
    def from_config(cls, config: dict | str | Path) -> "Experiment":
        """Creates an experiment from a configuration.

        Args:
            config: a dict as `to_config` returns it, or the path of a JSON file with such a dict. Or a run: its folder,
                the path of its `config.json`, or the content of that file. A run's configuration holds all settings
                of the run, so the experiment repeats it in a new folder.

        Raises:
            ValueError: not a configuration, an unknown setting, or a value out of its range.

        Example:

        >>> from keras_convnext.training import Experiment
        >>> Experiment.from_config({"variant": "convnext_atto", "recipe": {"base": "digits", "ema": 0.9}}).variant
        'convnext_atto'
        """
        if isinstance(config, dict):
            return cls(**_settings(config))
        place = Path(config)
        try:
            return cls(**_settings(read_json(place / CONFIG if is_run(place) else place)))
        except UnknownStepError as error:
            raise UnknownStepError(f"{config}: {error}") from error
        except ValueError as error:
            raise ValueError(str(error) if str(config) in str(error) else f"{config}: {error}") from error

    def to_config(self) -> dict:
        """Returns `data` and all settings that differ from the defaults, as JSON types, for `from_config`.

        Example:

        >>> from keras_convnext.training import Experiment
        >>> Experiment(data="photos.npz", epochs=3).to_config()
        {'data': 'photos.npz', 'epochs': 3}
        """
        settings = {one.name: getattr(self, one.name) for one in fields(self)}
        defaults = {one.name: one.default for one in fields(self) if one.name != "data"}
        return {name: value for name, value in settings.items() if name not in defaults or value != defaults[name]}

    def build(self) -> PreparedTraining:
        """Loads the data, builds the model and compiles it. It trains nothing and creates no folder.

        Returns:
            A `PreparedTraining`. Pass its `model`, `train` and `validation` to Keras's `fit`, or call its own `fit()`.

        Raises:
            ValueError: `output` exists, the checkpoint or the data cannot be read, or they do not fit each other.
            ModuleNotFoundError: a package is missing; the message names the extra that brings it.

        Example:

        >>> from keras_convnext.training import Experiment
        >>> training = Experiment(data="digits", epochs=1, variant="convnext_mini").build()
        >>> training.recipe.epochs, len(training.train)
        (1, 20)
        >>> history = training.model.fit(
        ...     training.train, validation_data=training.validation, epochs=1, shuffle=False, verbose=0
        ... )
        """
        return build(self)

    def run(self, callbacks: Sequence[keras.callbacks.Callback] = (), verbose: str | int = "auto") -> Run:
        """Trains and writes a run folder.

        Args:
            callbacks: further Keras callbacks. Defaults to none.
            verbose: as for `model.fit`. Defaults to `"auto"`.

        Returns:
            The `Run`. `run.metrics` holds the accuracies, and `run.load_model()` loads the best model.

        Raises:
            ValueError: as for `build`.
            FloatingPointError: the loss is NaN or Inf.
        """
        require("matplotlib", extra="cli")  # for the figures, which are drawn last
        return self.build().fit(callbacks=callbacks, verbose=verbose)

    @staticmethod
    def resume(
        run: str | Path,
        epochs: int | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: str | int = "auto",
        distribute: str | None = None,
    ) -> Run:
        """Resumes a run after its last complete epoch and trains it to the end.

        A run that was killed in its first epoch starts again in its folder.

        Args:
            run: path of a run folder.
            epochs: total number of epochs, more than the run has trained so far. A complete run is extended. The
                learning rate then follows the schedule of that many epochs. Defaults to None: the number of epochs
                with which the run was started.
            callbacks: further Keras callbacks. Defaults to none.
            verbose: as for `model.fit`. Defaults to `"auto"`.
            distribute: as for `Experiment`. Defaults to None: as the run was started.

        Returns:
            The `Run`.

        Raises:
            ValueError: not a run folder, a complete run without new `epochs`, `epochs` that are not more than it has
                trained, or other data than it began with.
            FloatingPointError: the loss is NaN or Inf.

        Example:

        >>> import tempfile
        >>> from keras_convnext.training import Experiment
        >>> run = Experiment(data="digits", epochs=1, output=tempfile.mkdtemp() + "/first").run(verbose=0)
        >>> Experiment.resume(run.path, epochs=2, verbose=0).metrics["epochs"]
        2
        """
        require("matplotlib", extra="cli")
        return prepare_resumed(run, epochs, distribute=distribute).fit(callbacks=callbacks, verbose=verbose)


def _settings(config):
    """The settings in a configuration. A run's `config.json` also has facts about the run."""
    known = [one.name for one in fields(Experiment)]
    if not isinstance(config, dict):
        raise ValueError(f"expected an object with some of {', '.join(known)}.")
    if "class_names" not in config:
        unknown = sorted(set(config) - set(known))
        if unknown:
            raise ValueError(f"no such setting: {', '.join(unknown)}. Expected some of {', '.join(known)}.")
    return {name: config[name] for name in known if config.get(name) is not None}
