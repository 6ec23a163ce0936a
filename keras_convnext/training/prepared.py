"""A training that is ready to start or to resume: a compiled model, its data and its recipe."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import keras

from keras_convnext.data import Batches, ImageData
from keras_convnext.models.run_folder import CONFIG
from keras_convnext.training.engine import Engine
from keras_convnext.training.fit import create_run, fit
from keras_convnext.training.recipe import Recipe
from keras_convnext.training.run import LOGS, METRICS, Run
from keras_convnext.training.run_paths import new_run_path
from keras_convnext.training.tasks import TASKS, Classification, Task


@dataclass(frozen=True, eq=False)
class PreparedTraining:
    """A training that is ready to start, as `Experiment.build` returns it.

    Pass its model and batches to Keras's `fit`, or call its own `fit()`, which writes a run folder.

    Attributes:
        model: the compiled model: a `ConvNeXtClassifier`, or what another task trains.
        data: `data.ImageData` with validation images.
        recipe: the `Recipe`, with its batch size and epochs chosen for the data.
        name: what is trained: the variant, or the checkpoint that it starts with.
        settings: the experiment's settings, which the run's `config.json` holds beside the recipe.
        output: path of the run folder, or None for a new one under `runs/`.
        run_name: name of a folder under `runs/`, before its number.
        notes: lines that the user should read before the training.
        run: the `Run` that is resumed; None for a new one.
        history: rows of the epochs that a resumed run has trained.
        samples_validation: whether the validation images were sampled from the training images.
        task: the `Task`.
        engine: the `Engine` in whose scope the model was made.

    Example:

    >>> from keras_convnext.training import Experiment
    >>> training = Experiment(data="digits", epochs=1).build()
    >>> training.name, training.recipe.epochs, training.train[0][0].shape
    ('convnext_mini', 1, (64, 8, 8, 1))
    """

    model: keras.Model
    data: ImageData
    recipe: Recipe
    name: str
    settings: dict = field(default_factory=dict)
    output: str | Path | None = None
    run_name: str = "run"
    notes: tuple[str, ...] = ()
    run: Run | None = None
    history: tuple[dict, ...] = ()
    samples_validation: bool = False
    task: Task = TASKS[Classification.name]
    engine: Engine = field(default_factory=Engine)

    @cached_property
    def train(self) -> Batches:
        """The batches to train on, augmented by the recipe. Pass `shuffle=False` to `fit` with them."""
        return self.task.batches(self.recipe, self.model, self.data.train, training=True)

    @cached_property
    def validation(self) -> Batches:
        """The batches to validate on."""
        return self.task.batches(self.recipe, self.model, self.data.validation, training=False)

    @cached_property
    def test(self) -> Batches | None:
        """The batches to test on, or None if the data have no test images."""
        if self.data.test is None:
            return None
        return self.task.batches(self.recipe, self.model, self.data.test, training=False)

    def open_run(self) -> Run:
        """Creates the run folder. If a run is resumed, opens its folder and sets its number of epochs.

        Raises:
            ValueError: `output` exists already.
        """
        return self.engine.on_writer(self._open_run)

    def _open_run(self):
        if self.run is None:
            path = self.output or new_run_path(self.run_name)
            return create_run(path, self.model, self.data, self.recipe, notes=self.settings, task=self.task.name)
        config = self.run.config
        if config["recipe"]["epochs"] != self.recipe.epochs:
            # In this order, a run that is killed in between loses its scores and nothing else.
            (self.run.path / METRICS).unlink(missing_ok=True)
            self.run.write_json(CONFIG, {**config, "recipe": {**config["recipe"], "epochs": self.recipe.epochs}})
        return self.run

    def fit(
        self, run: Run | None = None, callbacks: Sequence[keras.callbacks.Callback] = (), verbose: str | int = "auto"
    ) -> Run:
        """Trains in a run folder, keeps the best model and scores it once on the test images; see `training.fit`.

        Args:
            run: the `Run` that `open_run` returned. Defaults to None: `open_run` is called.
            callbacks: further Keras callbacks. Defaults to none.
            verbose: as for `model.fit`. Defaults to `"auto"`.

        Returns:
            The `Run`.

        Raises:
            FloatingPointError: the loss is NaN or Inf.
        """
        run = self.open_run() if run is None else run
        callbacks = list(callbacks)
        if self.settings.get("tensorboard") and self.engine.writes:
            callbacks.append(keras.callbacks.TensorBoard(run.path / LOGS))
        fit(self.model, self.data, self.recipe, run, self.history, callbacks, verbose, self.engine)
        return run
