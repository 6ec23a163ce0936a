"""The callback that keeps a training in its run folder, epoch by epoch."""

import shutil
import time

import keras
import numpy as np

from keras_convnext.models import load_classifier
from keras_convnext.training.run import read_json, write_json


class RunRecord(keras.callbacks.Callback):
    """After each epoch writes the state of the training, its history, and the model where it is the best so far.

    The best epoch has the highest accuracy on the validation images; among equals, the lowest loss. Where `fit` has no
    validation images, those of the training are compared.

    Args:
        run: the `Run` to write to.
        history: rows of the epochs that the run has already, where it is resumed.
    """

    def __init__(self, run, history=(), validation=None):
        super().__init__()
        self.run = run
        self.history = list(history)
        self.validation = validation

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        seconds = round(time.perf_counter() - self._started, 2)
        row = {"epoch": epoch + 1, **(logs or {}), "learning_rate": rate, "seconds": seconds}
        is_best = not self.history or _rank(row) > _rank(best_row(self.history))
        self.history.append(row)
        self.run.write_state(epoch + 1, lambda folder: self._write_state(folder, is_best))
        self.run.write_csv("history.csv", self.history)

    def _write_state(self, folder, is_best):
        """Writes the files of a state; model.keras too, before the state counts, so that it is never behind it."""
        self.model.save(folder / "model.keras")
        if is_best:
            self.run.write("model.keras", lambda path: shutil.copyfile(folder / "model.keras", path))
        np.savez(folder / "seeds.npz", *[variable.numpy() for variable in _seed_variables(self.model)])
        write_json(folder / "history.json", self.history)


def restore_state(folder):
    """The model and the history of a state folder that `RunRecord` wrote.

    Returns:
        `(model, history)`: the model compiled, with its optimizer's and its random generators' states.
    """
    model = load_classifier(folder / "model.keras")
    with np.load(folder / "seeds.npz") as seeds:
        for variable, name in zip(_seed_variables(model), seeds.files, strict=True):
            variable.assign(seeds[name])
    return model, read_json(folder / "history.json")


def best_row(history):
    """The row of the epoch whose model `RunRecord` keeps."""
    return max(history, key=_rank)


def _rank(row):
    return row.get("val_accuracy", row["accuracy"]), -row.get("val_loss", row["loss"])


def _seed_variables(model):
    """The states of a model's random generators, which a `.keras` file does not keep."""
    weights = {id(weight) for weight in model.weights}
    return [variable for variable in model.non_trainable_variables if id(variable) not in weights]
