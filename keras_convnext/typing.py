"""Names for types that annotations in several rooms share."""

from typing import Any, TypeAlias

import keras

Tensor: TypeAlias = keras.KerasTensor | Any
"""A tensor of the backend, or a symbolic one while a functional model is built. Keras has no type for both."""

Shape: TypeAlias = tuple[int | None, ...]
"""The shape of a tensor. A size is None where it is free."""
