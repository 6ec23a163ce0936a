"""JAX: `keras.distribution`, for any number of devices of any number of processes."""

import os
import pickle
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import entry_points
from typing import Any

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils

from keras_convnext.training.engine.engine import Engine
from keras_convnext.training.engine.launch import Launch
from keras_convnext.training.engine.meet import meet
from keras_convnext.training.engine.split_weights import SplitWeights, state_bytes
from keras_convnext.training.engine.watch import Watch

CPU_FLAG = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
"""Without it, XLA's compiler for CPUs orders the sums of gradients in one process otherwise than in another, and gloo
ends them: `op.preamble.length <= op.nbytes` (jaxlib 0.10.2)."""

SHUTDOWN_SECONDS = 10
"""How long a process waits at its end for the others."""


class KerasDistribution(Engine):
    """All devices of the processes, each with a share of the batch. XLA sums the gradients.

    Args:
        distribution: the `DataParallel`, or another distribution of Keras, that places weights and batches.
        launch: the `Launch` of processes that are connected. Defaults to None: no other process is watched.
    """

    validates_in_fit = False

    def __init__(self, distribution: keras.distribution.DataParallel, launch: Launch | None = None):
        self.processes = jax.process_count()
        self.index = jax.process_index()
        self.devices = distribution.num_model_replicas
        self._distribution = distribution
        self._watch = Watch(launch or Launch(), tell=lambda port: self.gather(port)[0])

    @classmethod
    def start(cls, launch: Launch, splits_weights: bool = False) -> "KerasDistribution":
        """Connects the processes, and distributes over all their devices.

        Args:
            launch: the `Launch`.
            splits_weights: whether the weights and the optimizer's state are split over the devices, see
                `SplitWeights`. Defaults to False: each device has all of them.
        """
        if launch.processes > 1:
            _connect(launch)
        kind = SplitWeights if splits_weights else keras.distribution.DataParallel
        devices = keras.distribution.list_devices()
        return cls(kind(devices=devices, auto_shard_dataset=False), launch)  # each process reads its own share

    def end_well(self) -> None:
        self._watch.end_well()

    def scope(self) -> AbstractContextManager:
        return self._distribution.scope()

    @contextmanager
    def one_device(self) -> Iterator[None]:
        before = keras.distribution.distribution()
        keras.distribution.set_distribution(None)
        try:
            yield
        finally:
            keras.distribution.set_distribution(before)

    def prepare(self, model: keras.Model) -> None:
        self._watch.begin()

    def notes(self, model: keras.Model) -> tuple[str, ...]:
        model.optimizer.build(model.trainable_variables)
        each, all_of_it = state_bytes(model)
        whole = "" if each == all_of_it else f", {_gib(all_of_it)} if none were split"
        return (
            f"each device holds {_gib(each)} of weights, gradients and optimizer state{whole}; "
            "the activations of its share of the batch come on top",
        )

    @contextmanager
    def local(self, model: keras.Model, with_optimizer: bool = False) -> Iterator[None]:
        """Uses a copy of the weights on this process's first device."""
        variables = {id(one): one for group in (model.variables, model.metrics_variables) for one in group}
        optimizer = {id(one): one for one in getattr(model.optimizer, "variables", ()) if id(one) not in variables}
        placed = [(one, (one._value, one._layout)) for one in (*variables.values(), *optimizer.values())]
        functions = model.test_function, model.predict_function
        model.test_function = model.predict_function = None  # they are compiled for all devices
        try:
            for variable in variables.values():
                variable._value, variable._layout = _on_one_device(variable._value), None
            for variable in optimizer.values() if with_optimizer else ():
                variable._value, variable._layout = _whole(variable._value), None
            with self.one_device():
                yield
        finally:
            for variable, (value, layout) in placed:
                variable._value, variable._layout = value, layout
            model.test_function, model.predict_function = functions

    def gather(self, value: Any) -> list:
        if self.processes == 1:
            return [value]
        own = np.frombuffer(pickle.dumps(value), "uint8")
        sizes = multihost_utils.process_allgather(np.array([len(own)])).reshape(-1)
        padded = np.zeros(sizes.max(), "uint8")
        padded[: len(own)] = own
        parts = multihost_utils.process_allgather(padded).reshape(self.processes, -1)
        return [pickle.loads(part[:size].tobytes()) for part, size in zip(parts, sizes, strict=True)]


def _connect(launch):
    """Connects this process with the others of its launch."""
    meet(launch)
    if jax.config.jax_platforms == "cpu" or not entry_points(group="jax_plugins"):  # no accelerator
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {CPU_FLAG}"  # which JAX reads with its devices
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(
        launch.address,
        launch.processes,
        launch.index,
        cluster_detection_method="deactivate",  # which hides all but one of the GPUs that Slurm gives a process
        shutdown_timeout_seconds=SHUTDOWN_SECONDS,
    )
    keras.utils.set_random_seed(0)  # JAX refuses weights that differ, also the initial ones of a loaded model


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def _on_one_device(value: jax.Array) -> jax.Array:
    """A copy of a whole array on this process's first device: `evaluate` donates it."""
    if value.is_fully_replicated:
        return value.addressable_data(0).copy()
    return jax.device_put(_whole(value), jax.local_devices()[0])


def _whole(value: jax.Array) -> jax.Array | np.ndarray:
    """An array that is on all devices, or in parts on them, as one array of this process: in the host's memory."""
    if value.is_fully_replicated:
        return value.addressable_data(0)
    return np.asarray(value if value.is_fully_addressable else multihost_utils.process_allgather(value, tiled=True))
