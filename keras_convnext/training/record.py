"""The callback that writes a training into its run, after each epoch."""

import shutil
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_convnext.models import load_model
from keras_convnext.models.run_folder import read_json
from keras_convnext.training.ema import averaged_weights, has_average
from keras_convnext.training.engine import Engine
from keras_convnext.training.run import Run, write_json
from keras_convnext.training.stop_at_nan import StopAtNaN
from keras_convnext.training.tasks import Task, task_of


class RunRecord(keras.callbacks.Callback):
    """Writes the state of the training, its history, and the best model so far, after each epoch.

    The best epoch has the highest score on the validation images, such as `val_accuracy`; among equals, the lowest
    loss. If `fit` has no validation images, the score on the training images counts. If the optimizer keeps a moving
    average of the weights, the average is evaluated as `val_ema_accuracy`. Then `model.keras` holds the best average,
    and `model_raw.keras` the best of the weights themselves.

    Args:
        run: the `Run` to write to. Its task says which score counts.
        history: rows of the epochs that the run already has, if it is resumed. Defaults to none.
        validation: the dataset on which the moving average is evaluated; needed if there is one, and for detection.
            Defaults to None.
        engine: the `Engine` that trains. Defaults to None: one device.

    Example:

    >>> import tempfile
    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.data import load_digits
    >>> from keras_convnext.training import RECIPES, RunRecord, create_run
    >>> model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10, input_shape=(8, 8, 1))
    >>> recipe, data = RECIPES["digits"].with_epochs(1), load_digits()
    >>> run = create_run(tempfile.mkdtemp() + "/first", model, data, recipe)
    >>> batches = recipe.dataset(data.train.take(range(64)))
    >>> recipe.compile(model, steps_per_epoch=len(batches))
    >>> history = model.fit(batches, callbacks=[RunRecord(run)], shuffle=False, verbose=0)
    >>> run.last_state.name
    'epoch-1'
    """

    def __init__(self, run: Run, history: Sequence[dict] = (), validation: Any = None, engine: Engine | None = None):
        super().__init__()
        self.engine = engine or Engine()
        self.run = run
        self.history = list(history)
        self.validation = validation

    @cached_property
    def task(self) -> Task:
        """The task of the run."""
        return task_of(self.run.config)

    @property
    def _with_average(self):
        return self.validation is not None and has_average(self.model)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        logs = {} if logs is None else logs
        self._refuse_nan_or_inf(epoch + 1)
        if self.validation is not None and not self.engine.validates_in_fit:
            scores = self.engine.evaluate(self.model, self.validation)
            logs |= {f"val_{name}": score for name, score in scores.items()}
        if self.validation is not None:
            scores = self.task.epoch_scores(self.model, self.validation, self.engine)
            logs |= {f"val_{name}": score for name, score in scores.items()}  # for the callbacks after this one
        row = {"epoch": epoch + 1, **logs}
        if self._with_average:
            with averaged_weights(self.model):
                scores = self.engine.evaluate(self.model, self.validation)
                scores |= self.task.epoch_scores(self.model, self.validation, self.engine)
            row |= {f"val_ema_{name}": score for name, score in scores.items()}
        row |= {"learning_rate": rate, "seconds": round(time.perf_counter() - self._started, 2)}
        earlier, self.history = self.history, [*self.history, row]
        with self.engine.local(self.model, with_optimizer=True):
            self.engine.on_writer(lambda: self._write(epoch, earlier))

    def _write(self, epoch, earlier):
        self.run.write_state(epoch + 1, lambda folder: self._write_state(folder, earlier))
        self.run.write_csv("history.csv", self.history)

    def _refuse_nan_or_inf(self, epoch):
        """The last update may have made weights NaN or Inf after its loss was computed: the earlier state must stay."""
        spoilt = [one.path for one in self.model.weights if not bool(keras.ops.all(keras.ops.isfinite(one)))]
        if spoilt:
            state = self.run.last_state
            last = f"The last good state is {state}." if state else "No epoch was complete before."
            raise FloatingPointError(
                f"After epoch {epoch} {len(spoilt)} weights have NaN or Inf, such as {spoilt[0]}. {last}"
            )

    def _write_state(self, folder, earlier):
        """Writes the files of a state, and the best models before the state is complete, so that none is older."""
        self.model.save(folder / "model.keras")
        kept = {"model.keras": (folder / "model.keras", self._rank)}
        if self._with_average:
            with averaged_weights(self.model):
                self.model.save(folder / "ema.keras")
            kept = {
                "model.keras": (folder / "ema.keras", self._rank),
                "model_raw.keras": (folder / "model.keras", self._raw_rank),
            }
        for name, (source, rank_by) in kept.items():
            if not earlier or rank_by(self.history[-1]) > max(map(rank_by, earlier)):
                self.run.write(name, lambda path, source=source: shutil.copyfile(source, path))
        np.savez(folder / "seeds.npz", *[variable.numpy() for variable in _seed_variables(self.model)])
        write_json(folder / "history.json", self.history)

    def _rank(self, row):
        return rank(row, self.task.score)

    def _raw_rank(self, row):
        return _raw_rank(row, self.task.score)


def run_callbacks(
    run: Run, history: Sequence[dict] = (), validation: Any = None, engine: Engine | None = None
) -> list[keras.callbacks.Callback]:
    """The callbacks that keep a run; see `Recipe.callbacks`."""
    return [RunRecord(run, history, validation, engine), StopAtNaN(run)]


def restore_state(folder: Path, compile: Callable[[keras.Model], None] | None = None) -> tuple[keras.Model, list[dict]]:
    """Loads the model and the history from a state that `RunRecord` wrote.

    Args:
        folder: folder of the state, such as `Run.last_state`.
        compile: function that compiles a model of a class with its own `compile`, such as keras-cv's detectors: Keras
            cannot compile it as it was. Defaults to None: the model was compiled by Keras's own.

    Returns:
        `(model, history)`. The model is compiled, and the states of its optimizer and random generators are restored.
    """
    model = load_model(folder / "model.keras")
    if compile is not None and not model.compiled:
        compile(model)
        model.load_weights(folder / "model.keras")  # once more, for the optimizer's variables
    with np.load(folder / "seeds.npz") as seeds:
        for variable, name in zip(_seed_variables(model), seeds.files, strict=True):
            variable.assign(seeds[name])
    return model, read_json(folder / "history.json")


def best_row(history: Sequence[dict], score: str = "accuracy") -> dict:
    """The row of the epoch whose model `RunRecord` kept, by the name of the task's score."""
    return max(history, key=lambda row: rank(row, score))


def rank(row: dict, score: str = "accuracy") -> tuple[float, float]:
    """The key that ranks epochs, highest first: the score (of the moving average, if any), then negative loss."""
    if f"val_ema_{score}" in row:
        return row[f"val_ema_{score}"], -row["val_ema_loss"]
    return _raw_rank(row, score)


def _raw_rank(row, score):
    prefix = "val_" if f"val_{score}" in row else ""
    return row[prefix + score], -row[f"{prefix}loss"]


def _seed_variables(model):
    """The states of a model's random generators, which a `.keras` file does not contain."""
    weights = {id(weight) for weight in model.weights}
    return [variable for variable in model.non_trainable_variables if id(variable) not in weights]
