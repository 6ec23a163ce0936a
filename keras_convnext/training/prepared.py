"""A training that can begin: a compiled model, its data and its recipe, before any epoch or between two."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import keras

from keras_convnext.data import Batches, ImageData
from keras_convnext.models.run_folder import CONFIG
from keras_convnext.training.dataset import training_batches
from keras_convnext.training.fit import create_run, fit
from keras_convnext.training.recipe import Recipe
from keras_convnext.training.run import LOGS, METRICS, Run
from keras_convnext.training.run_paths import new_run_path


@dataclass(frozen=True, eq=False)
class PreparedTraining:
    """What `Experiment.build` returns: for a `fit` of your own, or for its own `fit()`, which keeps a run folder.

    Attributes:
        model: the compiled `ConvNeXtClassifier`.
        data: `data.ImageData` with validation images.
        recipe: the `Recipe`, with its batch size and epochs chosen for the data.
        name: what is trained: the variant, or the checkpoint that it starts with.
        settings: what the run's `config.json` has beside the recipe: the experiment's settings.
        output: the path of the run folder, or None for a new one under `runs/`.
        run_name: what a folder under `runs/` is called, before its number.
        notes: lines that the user should read before the training.
        run: the `Run` that goes on; None of a new one.
        history: rows of the epochs that it has.
        samples_validation: whether the validation images were sampled from the training images.

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

    @cached_property
    def train(self) -> Batches:
        """The batches to train on, augmented by the recipe; in `fit`, pass `shuffle=False` with them."""
        return training_batches(self.recipe, self.model, self.data.train)

    @cached_property
    def validation(self) -> Batches:
        """The batches to validate on."""
        return self.recipe.dataset(self.data.validation, training=False)  # type: ignore[arg-type]  # it has some

    @cached_property
    def test(self) -> Batches | None:
        """The batches to test on, or None where the data has no test images."""
        return None if self.data.test is None else self.recipe.dataset(self.data.test, training=False)

    def open_run(self) -> Run:
        """Makes the run folder; or, where a run goes on, opens its folder for more epochs.

        Raises:
            ValueError: there is something at `output` already.
        """
        if self.run is None:
            path = self.output or new_run_path(self.run_name)
            return create_run(path, self.model, self.data, self.recipe, notes=self.settings)
        config = self.run.config
        if config["recipe"]["epochs"] != self.recipe.epochs:
            # In this order: killed in between, the run is as it was before, but for its scores.
            (self.run.path / METRICS).unlink(missing_ok=True)
            self.run.write_json(CONFIG, {**config, "recipe": {**config["recipe"], "epochs": self.recipe.epochs}})
        return self.run

    def fit(
        self, run: Run | None = None, callbacks: Sequence[keras.callbacks.Callback] = (), verbose: str | int = "auto"
    ) -> Run:
        """Trains in a run folder, keeps the best model and scores it once on the test images; see `training.fit`.

        Args:
            run: what `open_run` returned. Defaults to None: it is called.
            callbacks: more of Keras's callbacks. Defaults to none.
            verbose: as in `model.fit`. Defaults to `"auto"`.

        Returns:
            The `Run`.

        Raises:
            FloatingPointError: the loss is NaN or Inf.
        """
        run = self.open_run() if run is None else run
        callbacks = list(callbacks)
        if self.settings.get("tensorboard"):
            callbacks.append(keras.callbacks.TensorBoard(run.path / LOGS))
        fit(self.model, self.data, self.recipe, run, self.history, callbacks=callbacks, verbose=verbose)
        return run
