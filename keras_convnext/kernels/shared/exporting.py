"""Whether a model is being exported. Kernels then use plain operations, which converters and runtimes recognize.

A program that is only serialized, to run on this device, keeps the kernels' fast forms, except code for one device.
"""

from collections.abc import Iterator
from contextlib import contextmanager

_runtimes: list[str | None] = []
"""The contexts of `exporting` that are open. It is a list, since `torch.compile` cannot read a `ContextVar`. Meanwhile,
other threads compute in the export form too, which gives the same results."""

_serializing = 0
"""The contexts of `serializing` that are open."""

RUNTIMES = ("onnxruntime", "openvino")
"""The runtimes with forms of their own."""


@contextmanager
def exporting(runtime: str | None = None) -> Iterator[None]:
    """A context in which kernels compute in their export form, for tracing a model that another runtime will run.

    The export form has one convolution per depthwise convolution and per patch embedding, layer norms and GELUs as
    runtimes recognize and fuse them, and sums over maps in float32. It has no custom gradients, slices or barriers.

    Args:
        runtime: the runtime to be fast in, if one is known. For `"onnxruntime"`, linear layers over the channels of a
            map are 1x1 convolutions; for `"openvino"`, layer norms on PyTorch are sums over the first axis of
            channels-first maps. The results are equal. Defaults to None: linear layers are products of matrices, and
            layer norms are the backend's own.

    Raises:
        ValueError: `runtime` is unknown.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> with kernels.exporting():
    ...     y = kernels.gelu(ops.zeros(3))
    """
    if runtime not in (None, *RUNTIMES):
        raise ValueError(f"`runtime` must be None, or one of {', '.join(RUNTIMES)}. Received: runtime={runtime!r}")
    _runtimes.append(runtime)
    try:
        yield
    finally:
        _runtimes.pop()


@contextmanager
def serializing() -> Iterator[None]:
    """A context in which kernels compute as on this device, but only in operations that a program in a file can have.

    On JAX with a GPU, a convolution may otherwise be code for that GPU alone, which JAX refuses to serialize.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> with kernels.serializing():
    ...     y = kernels.gelu(ops.zeros(3))
    """
    global _serializing
    _serializing += 1
    try:
        yield
    finally:
        _serializing -= 1


def is_serializing() -> bool:
    """Whether the caller is in the context of `serializing`."""
    return _serializing > 0


def is_exporting() -> bool:
    """Whether the caller is in the context of `exporting`."""
    return bool(_runtimes)


def is_exporting_for(runtime: str) -> bool:
    """Whether the caller is in the context of `exporting` for this runtime.

    Args:
        runtime: one of `RUNTIMES`.
    """
    return bool(_runtimes) and _runtimes[-1] == runtime
