"""JAX: `keras.distribution`, for any number of devices of any number of processes."""

import pickle
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils

from keras_convnext.training.engine.engine import Engine
from keras_convnext.training.engine.launch import Launch
from keras_convnext.training.engine.watch import Watch

SHUTDOWN_SECONDS = 10
"""How long a process waits at its end for the others."""


class KerasDistribution(Engine):
    """All devices of the processes, each with the whole model. XLA sums the gradients."""

    validates_in_fit = False

    def __init__(self, launch: Launch):
        if launch.processes > 1:
            jax.config.update("jax_cpu_collectives_implementation", "gloo")
            jax.distributed.initialize(
                launch.address,
                launch.processes,
                launch.index,
                cluster_detection_method="deactivate",  # which hides all but one of the GPUs that Slurm gives a process
                shutdown_timeout_seconds=SHUTDOWN_SECONDS,
            )
            keras.utils.set_random_seed(0)  # JAX refuses weights that differ, also the initial ones of a loaded model
        self.processes = jax.process_count()
        self.index = jax.process_index()
        self.devices = jax.device_count()
        self._distribution = keras.distribution.DataParallel(
            devices=keras.distribution.list_devices(),
            auto_shard_dataset=False,  # each process reads its own share
        )
        self._watch = Watch(launch, tell=lambda port: self.gather(port)[0])

    def end_well(self) -> None:
        self._watch.end_well()

    def scope(self) -> AbstractContextManager:
        return self._distribution.scope()

    @contextmanager
    def local(self, model: keras.Model) -> Iterator[None]:
        """Uses a copy of the weights on this process's first device."""
        groups = model.variables, model.metrics_variables, getattr(model.optimizer, "variables", [])
        variables = list({id(variable): variable for group in groups for variable in group}.values())
        placed = [(variable._value, variable._layout) for variable in variables]
        functions = model.test_function, model.predict_function
        model.test_function = model.predict_function = None  # they are compiled for all devices
        keras.distribution.set_distribution(None)
        try:
            for variable, (value, _) in zip(variables, placed, strict=True):
                variable._layout = None
                variable._value = value.addressable_data(0).copy()  # `evaluate` donates it
            yield
        finally:
            keras.distribution.set_distribution(self._distribution)
            for variable, (value, layout) in zip(variables, placed, strict=True):
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
