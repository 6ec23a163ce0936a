"""Engines: where a training runs, on one device or on many. Each trains with Keras's own `fit`."""

import keras

from keras_convnext.training.engine.engine import Engine, WriterError
from keras_convnext.training.engine.launch import Launch, read_launch
from keras_convnext.training.engine.split_weights import SplitWeights

DISTRIBUTIONS = ("data", "fsdp")
"""How a training can be distributed: `"data"` gives each device a share of each batch and all weights. `"fsdp"`, fully
sharded data parallelism, also splits the weights and the optimizer's state over the devices; JAX can do it."""


def start_engine(distribute: str | None = None) -> Engine:
    """Starts the engine of Keras's backend, and connects this process with the others of its launcher.

    Args:
        distribute: one of `DISTRIBUTIONS`. Defaults to None: one device.

    Raises:
        ValueError: an unknown distribution; or the launcher's variables are incomplete, or ask for what the backend
            cannot do.
        RuntimeError: the launcher's processes did not find each other in time.

    Example:

    >>> from keras_convnext.training.engine import start_engine
    >>> start_engine().devices
    1
    """
    launch = read_launch()
    if distribute is None:
        if launch.processes > 1:
            raise ValueError(
                f"The launcher started {launch.processes} processes, and each would do the same training. Give "
                "`distribute`."
            )
        return Engine()
    if distribute not in DISTRIBUTIONS:
        raise ValueError(f"`distribute` must be one of {', '.join(DISTRIBUTIONS)}. Received: {distribute!r}")
    backend = keras.backend.backend()  # each engine's file imports its backend
    if backend == "jax":
        from keras_convnext.training.engine.keras_distribution import KerasDistribution

        return KerasDistribution.start(launch, splits_weights=distribute == "fsdp")
    if distribute != "data":
        raise ValueError(f"`distribute` can be {distribute!r} on the JAX backend only. Set KERAS_BACKEND to jax.")
    if backend == "tensorflow":
        from keras_convnext.training.engine.mirrored import Mirrored

        return Mirrored(launch)
    if launch.processes == 1:
        return Engine()
    from keras_convnext.training.engine.torch_processes import TorchProcesses

    return TorchProcesses(launch)


def current_engine() -> Engine:
    """Returns the engine for what `keras.distribution.set_distribution` has set; one device if nothing is set.

    Example:

    >>> from keras_convnext.training.engine import current_engine
    >>> current_engine().processes
    1
    """
    if keras.backend.backend() != "jax" or keras.distribution.distribution() is None:
        return Engine()
    from keras_convnext.training.engine.keras_distribution import KerasDistribution

    return KerasDistribution(keras.distribution.distribution())


__all__ = [
    "DISTRIBUTIONS",
    "Engine",
    "Launch",
    "SplitWeights",
    "WriterError",
    "current_engine",
    "read_launch",
    "start_engine",
]
