"""Where a training runs: on one device, or on several, of one process or of many."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np

from keras_convnext.data import Batches

SEED_STEP = 1_000_003
"""By what the seeds of two devices differ where each has its own random generators, so that they drop other samples."""


class WriterError(RuntimeError):
    """The process that writes failed, and says why."""


class Engine:
    """One process and one device, and what other engines do otherwise.

    All processes call the same methods in the same order.

    Attributes:
        processes: number of processes.
        index: which of them this is, from 0. Process 0 writes the run.
        devices: number of devices of all processes; each computes an equal share of a batch.
        validates_in_fit: whether Keras's `fit` can evaluate the validation images on this engine.

    Example:

    >>> from keras_convnext.training.engine import Engine
    >>> str(Engine())
    '1 process, 1 device'
    """

    processes: int = 1
    index: int = 0
    devices: int = 1
    validates_in_fit: bool = True

    def __str__(self):
        return ", ".join(
            f"{count} {name if count == 1 else plural}"
            for count, name, plural in (
                (self.processes, "process", "processes"),
                (self.devices, "device", "devices"),
            )
        )

    @property
    def writes(self) -> bool:
        """Whether this process writes the run."""
        return self.index == 0

    def scope(self) -> AbstractContextManager:
        """The context in which a model is made, loaded and compiled."""
        return nullcontext()

    def training_scope(self) -> AbstractContextManager:
        """The context in which a model is trained."""
        return self.scope()

    def one_device(self) -> AbstractContextManager:
        """The context in which a model is loaded and used on one device."""
        return nullcontext()

    def share(self, batches: Batches) -> Batches:
        """Makes batches for training give this process's share of each batch; returns them.

        Raises:
            ValueError: a batch cannot be divided among the devices.
        """
        if batches.batch_size % self.devices:
            parts = f" in {batches.group} parts" if batches.group > 1 else ""
            raise ValueError(
                f"A batch of {batches.batch_size * batches.group} images{parts} cannot be divided among {self.devices} "
                f"devices. Give a batch size that is a multiple of {self.devices * batches.group}."
            )
        batches.take_share(self.index, self.processes)
        return batches

    def part(self, images: Any) -> Any:
        """Returns this process's part of images to evaluate; together, the parts have each image once.

        Raises:
            ValueError: there are fewer images than processes.
        """
        if self.processes == 1:
            return images
        if len(images) < self.processes:
            raise ValueError(
                f"{self.processes} processes cannot share {len(images)} validation images: expected at least one for "
                "each. Start fewer processes, or give more validation images."
            )
        first, last = (len(images) * place // self.processes for place in (self.index, self.index + 1))
        return images.take(range(first, last))

    def end_well(self) -> None:
        """Tells the other processes that this one may end from now on. Without it, they end when this one does."""

    def prepare(self, model: keras.Model) -> None:
        """Makes a compiled model train together with its copies on the other devices."""

    def callbacks(self, batches: Batches) -> list[keras.callbacks.Callback]:
        """The callbacks that `fit` needs on this engine.

        Args:
            batches: the batches to train on.
        """
        return []

    def local(self, model: keras.Model, with_optimizer: bool = False) -> AbstractContextManager:
        """A context in which this process can evaluate and predict with a model without the others.

        Args:
            model: a compiled model.
            with_optimizer: whether the model can be saved too, with its optimizer's state. Defaults to False.
        """
        return nullcontext()

    def notes(self, model: keras.Model) -> tuple[str, ...]:
        """Returns lines about a compiled model on this engine that the user should read before the training."""
        return ()

    def gather(self, value: Any) -> list:
        """Returns the value of each process, in their order. Values can be pickled."""
        return [value]

    def sum(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the sums of the processes' arrays."""
        return [np.sum(parts, axis=0) for parts in zip(*self.gather(list(arrays)), strict=True)]

    def on_writer(self, function: Callable[[], Any]) -> Any:
        """Calls a function in the process that writes; returns its result, or raises its error, in all processes.

        Raises:
            WriterError: in the other processes, the writer failed, such as on a full disk.
        """
        if self.processes == 1:
            return function()
        result = error = None
        if self.writes:
            try:
                result = function()
            except (ValueError, OSError, RuntimeError, MemoryError) as raised:
                error = raised
        result, problem = self.gather((result, error and str(error)))[0]
        if problem is None:
            return result
        self.end_well()  # all processes end with this error
        raise WriterError(problem) if error is None else error

    def evaluate(self, model: keras.Model, batches: Batches) -> dict[str, float]:
        """Evaluates a compiled model.

        Args:
            model: the model.
            batches: batches of this process's `part` of the images.

        Returns:
            The loss and the metrics over the images of all processes.
        """
        with self.local(model):
            scores = model.evaluate(batches, verbose=0, return_dict=True)
            if self.processes > 1:
                sum_metrics(self, model)
                scores = {name: float(score) for name, score in model.get_metrics_result().items()}
        return scores


def seed_states(model: keras.Model) -> list[keras.Variable]:
    """The states of a model's random generators."""
    return [variable for variable in model.non_trainable_variables if variable.path.endswith("seed_generator_state")]


def sum_metrics(engine: Engine, model: keras.Model) -> None:
    """Replaces what a model's metrics have counted in each process by the sums over all processes."""
    variables = model.metrics_variables
    counted = [keras.ops.convert_to_numpy(variable) for variable in variables]
    for variable, total in zip(variables, engine.sum(counted), strict=True):
        variable.assign(total)
