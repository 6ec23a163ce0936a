"""torch: one process per device, which take the mean of their gradients before each update."""

import functools
import os
from datetime import timedelta
from typing import Any

import keras
import numpy as np
import torch
import torch.distributed

from keras_convnext.data import Batches
from keras_convnext.training.engine.engine import SEED_STEP, Engine, seed_states, sum_metrics
from keras_convnext.training.engine.launch import Launch
from keras_convnext.training.engine.meet import meet
from keras_convnext.training.engine.watch import Watch

LONGEST_WAIT = timedelta(days=7)
"""How long processes wait for one that still computes, such as for process 0, which scores the test images. `Watch`
ends them if it is lost."""


class TorchProcesses(Engine):
    """Processes that torchrun, Slurm or Keras's variables name, each with its own GPU, or with the CPU.

    It takes the mean of the gradients in `optimizer.apply`, in one `all_reduce` per dtype: `DistributedDataParallel`
    wraps `forward`, which Keras's `fit` does not call.
    """

    validates_in_fit = False

    def __init__(self, launch: Launch):
        self.processes = self.devices = launch.processes
        self.index = launch.index
        if "TORCHELASTIC_RUN_ID" not in os.environ:  # torchrun's processes have met, and it listens at the port
            meet(launch)
        on_gpu = torch.cuda.is_available()
        if on_gpu:
            torch.cuda.set_device(launch.local_index % torch.cuda.device_count())
        host, _, port = str(launch.address).rpartition(":")
        os.environ.setdefault("MASTER_ADDR", host)  # torchrun has set them, and its agent keeps the port
        os.environ.setdefault("MASTER_PORT", port)
        torch.distributed.init_process_group(
            "nccl" if on_gpu else "gloo", world_size=launch.processes, rank=launch.index, timeout=LONGEST_WAIT
        )
        self._watch = Watch(launch, tell=lambda port: self.gather(port)[0])

    def end_well(self) -> None:
        self._watch.end_well()

    def prepare(self, model: keras.Model) -> None:
        self._watch.begin()
        optimizer = model.optimizer
        optimizer.apply = _on_mean_gradients(optimizer.apply, self.processes)
        for state in seed_states(model):
            seed, count = keras.ops.convert_to_numpy(state)
            state.assign(np.array([seed + SEED_STEP * self.index, count]))

    def callbacks(self, batches: Batches) -> list[keras.callbacks.Callback]:
        return [EndOfEpoch(self, len(batches))]

    def gather(self, value: Any) -> list:
        values: list = [None] * self.processes
        torch.distributed.all_gather_object(values, value)
        return values


class EndOfEpoch(keras.callbacks.Callback):
    """At the end of an epoch, sums the metrics over the processes, and averages the statistics of batch norms.

    Args:
        engine: the `Engine`.
        steps: number of batches per epoch.
    """

    def __init__(self, engine: Engine, steps: int):
        super().__init__()
        self.engine = engine
        self.steps = steps

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if batch < self.steps - 1:
            return
        sum_metrics(self.engine, self.model)  # from which `fit` computes the epoch's logs after this
        statistics = [one for one in self.model.non_trainable_variables if one.name.startswith("moving_")]
        if statistics:
            sums = self.engine.sum([keras.ops.convert_to_numpy(one) for one in statistics])
            for variable, total in zip(statistics, sums, strict=True):
                variable.assign(total / self.engine.processes)


def _on_mean_gradients(apply, processes):
    """An optimizer's `apply` that is given this process's gradients and applies the mean of all processes'."""

    @functools.wraps(apply)
    def apply_mean(grads, trainable_variables=None):
        return apply(_mean(list(grads), processes), trainable_variables)

    return apply_mean


def _mean(gradients: list[torch.Tensor | None], processes: int) -> list[torch.Tensor | None]:
    """The means over all processes, by one `all_reduce` for all gradients of a dtype."""
    means = list(gradients)
    present = {place: gradient for place, gradient in enumerate(gradients) if gradient is not None}
    for dtype in sorted({gradient.dtype for gradient in present.values()}, key=str):
        alike = {place: gradient for place, gradient in present.items() if gradient.dtype == dtype}
        flat = torch.cat([gradient.reshape(-1) for gradient in alike.values()])
        torch.distributed.all_reduce(flat)
        flat /= processes
        parts = flat.split([gradient.numel() for gradient in alike.values()])
        for (place, gradient), part in zip(alike.items(), parts, strict=True):
            means[place] = part.view(gradient.shape)
    return means
