"""What differs between backends besides the arithmetic: compilation, errors, sizes, and observers."""

import contextlib
from collections.abc import Sequence
from typing import Any

import keras

from keras_convnext.typing import Tensor


def avoids_jit() -> bool:
    """Whether Keras's `jit_compile="auto"` must not compile a model of these kernels with XLA.

    Example:

    >>> from keras_convnext import kernels
    >>> isinstance(kernels.avoids_jit(), bool)
    True
    """
    return False


def as_runtime_errors() -> contextlib.AbstractContextManager:
    """A context in which errors of the backend's computations, such as too little memory, are `RuntimeError`s.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> with kernels.as_runtime_errors():
    ...     total = ops.sum(ops.ones(3))
    """
    return contextlib.nullcontext()


def comparable_size(size: Any) -> Any:
    """Returns a size of a tensor's shape as a value that can be compared.

    Args:
        size: an integer, or the tensor or symbol that a shape has while the backend traces a program.

    Example:

    >>> from keras_convnext import kernels
    >>> kernels.comparable_size(224) > 32
    True
    """
    return size


def is_observed(x: Tensor, layers: Sequence[keras.layers.Layer]) -> bool:
    """Whether something observes the layers or operations of a call one by one, so that the layers must be called.

    Args:
        x: the input of the call.
        layers: the layers that the call consists of.

    Example:

    >>> import keras
    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> kernels.is_observed(ops.ones((2, 4)), [keras.layers.Dense(3)])
    False
    """
    return False
