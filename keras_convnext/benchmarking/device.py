"""The device that a benchmark times: the environment of its processes, its settings, waiting for it, and its memory.

On a GPU, only the process whose turn it is computes, since autotuning and timing need the GPU to themselves. Therefore
each process waits for its results before it answers, and allocates memory only as it needs it. Multiply-accumulates are
counted in a process that sees no GPU.
"""

import json
import os
import pkgutil
import subprocess
from typing import Any

import keras

from keras_convnext.benchmarking.case import Case
from keras_convnext.extras import BACKENDS
from keras_convnext.processes import python_command

WITHOUT_GPU = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
SHARES_GPU = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
"""Otherwise JAX and TensorFlow take most of the GPU's memory when they start."""


def environment(device: str, backend: str) -> dict[str, str]:
    """The environment variables of a process that computes on a device.

    Args:
        device: `"cpu"`, where the process sees no GPU, or `"gpu"`.
        backend: a backend of Keras. With any other name, the new process has the backend of this one.

    Returns:
        This process's variables, with those that choose backend and device.
    """
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if backend in BACKENDS:
        variables["KERAS_BACKEND"] = backend
    return variables | (SHARES_GPU if device == "gpu" else WITHOUT_GPU)


def backend_of(case: Case) -> str:
    """The backend that computes a case in this process: the case's own, or Keras's where the case names none."""
    return case.backend if case.backend in BACKENDS else keras.backend.backend()


def prepare_device(device: str, backend: str) -> None:
    """Settings of this process, before it builds a model.

    On a GPU, all backends multiply float32 in TF32, as JAX and TensorFlow do by default, and torch in convolutions.

    Args:
        device: `"cpu"` or `"gpu"`.
        backend: `"tensorflow"`, `"jax"` or `"torch"`.

    Raises:
        ValueError: the device is a GPU, and the backend sees none.
    """
    if device != "gpu":
        return
    if not _sees_gpu(backend):
        raise ValueError(f"{backend} sees no GPU. Install a build of it for the GPU, or time on the CPU.")
    if backend == "torch":
        import torch

        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    elif backend == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "tensorfloat32")
    else:
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(True)


def share_cores(processes: int, backend: str) -> None:
    """Leaves to each of several processes its part of the cores: torch would let each use all.

    Args:
        processes: number of processes that compute at the same time.
        backend: `"tensorflow"`, `"jax"` or `"torch"`.
    """
    if processes > 1 and backend == "torch":
        import torch

        torch.set_num_threads(max(1, torch.get_num_threads() // processes))


def _sees_gpu(backend):
    if backend == "torch":
        import torch

        return torch.cuda.is_available()
    if backend == "jax":
        import jax

        return jax.default_backend() == "gpu"
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def synchronize(backend: str, result: Any) -> None:
    """Waits until the device has computed a result.

    Args:
        backend: `"tensorflow"`, `"jax"` or `"torch"`.
        result: tensors in any structure. It may contain numbers and arrays, which need no waiting.
    """
    if backend == "torch":
        import torch

        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
    elif backend == "jax":
        import jax

        jax.block_until_ready(result)
    else:
        import tensorflow as tf

        for tensor in keras.tree.flatten(result):
            if tf.is_tensor(tensor):
                tf.reshape(tensor, [-1])[:1].numpy()  # reading waits; TensorFlow has no other way


def reset_peak_device_bytes(device: str, backend: str) -> None:
    """Forgets the peak so far. JAX has no function for it: its peak includes compilation.

    Args:
        device: `"cpu"` or `"gpu"`.
        backend: `"tensorflow"`, `"jax"` or `"torch"`.
    """
    if device != "gpu":
        return
    if backend == "torch":
        import torch

        torch.cuda.reset_peak_memory_stats()
    elif backend == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.reset_memory_stats("GPU:0")


def peak_device_bytes(device: str, backend: str) -> int | None:
    """Returns the peak of the GPU memory that this process allocated.

    Args:
        device: `"cpu"` or `"gpu"`.
        backend: `"tensorflow"`, `"jax"` or `"torch"`.

    Returns:
        Bytes, or None on the CPU.
    """
    if device != "gpu":
        return None
    if backend == "torch":
        import torch

        return torch.cuda.max_memory_allocated()
    if backend == "jax":
        import jax

        return jax.devices()[0].memory_stats()["peak_bytes_in_use"]
    import tensorflow as tf

    return tf.config.experimental.get_memory_info("GPU:0")["peak"]


def call_without_gpu(function: str, *arguments: Any) -> Any:
    """Calls a function in another process, which sees no GPU. A model that is built there takes none of its memory.

    Args:
        function: such as `"keras_convnext.variants:variant_for"`.
        *arguments: arguments of the function, as JSON types.

    Returns:
        The result of the function, as JSON types.

    Raises:
        ValueError: the function raised a ValueError or an OSError.
        RuntimeError: the process ended with another error, which it printed.

    Example:

    >>> from keras_convnext.benchmarking.device import call_without_gpu
    >>> call_without_gpu("keras_convnext.variants:variant_for", 32)
    ['convnext_mini', 2]
    """
    process = subprocess.run(
        python_command(f"{__name__}:answer", function, json.dumps(arguments)),
        env=environment("cpu", ""),
        stdout=subprocess.PIPE,
        text=True,
    )
    if process.returncode:
        raise RuntimeError(f"The process that called {function} ended with an error; its message is printed above.")
    answer = json.loads(process.stdout)
    if "refusal" in answer:
        raise ValueError(answer["refusal"])
    return answer["result"]


def answer(function: str, arguments: str) -> None:
    """Runs the process of `call_without_gpu`."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what packages print goes to stderr
    try:
        line = {"result": pkgutil.resolve_name(function)(*json.loads(arguments))}
    except (ValueError, OSError) as error:
        line = {"refusal": str(error)}
    with answers:
        print(json.dumps(line), file=answers)
