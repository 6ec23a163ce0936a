"""Checks of arguments that are numbers. NumPy's scalars and arrays without axes become Python's, which JSON can hold.

For example, `y.max() + 1` of an array of labels is a NumPy integer, and a valid number of classes. A bool is not
accepted as a number.
"""

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np


def integer(name: str, value: Any, least: int | None = None) -> int:
    """Returns the value of an argument as an int.

    Args:
        name: the name of the argument, for the message.
        value: an integer of Python or NumPy, or an array or tensor of one without axes.
        least: the smallest value that is accepted. Defaults to None, for no bound.

    Raises:
        ValueError: the value is not an integer, or out of range.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.scalars import integer
    >>> integer("num_classes", np.array([0, 2, 1]).max() + 1)
    3
    """
    found = plain(value)
    is_right = isinstance(found, Integral) and not isinstance(found, bool) and (least is None or int(found) >= least)
    if not is_right:
        raise ValueError(f"`{name}` must be an integer{_from(least)}. Received: {name}={value!r}")
    return int(found)


def number(name: str, value: Any, least: float | None = None) -> float:
    """Returns the value of an argument as a finite float.

    Args:
        name: the name of the argument, for the message.
        value: a number of Python or NumPy, or an array or tensor of one without axes.
        least: the smallest value that is accepted. Defaults to None, for no bound.

    Raises:
        ValueError: the value is not a number, is NaN or Inf, or is out of range.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.scalars import number
    >>> number("rate", np.float32(0.5))
    0.5
    """
    found = plain(value)
    is_right = isinstance(found, Real) and not isinstance(found, bool) and math.isfinite(found)
    if not is_right or (least is not None and found < least):
        raise ValueError(f"`{name}` must be a finite number{_from(least)}. Received: {name}={value!r}")
    return float(found)


def between(name: str, value: Any, least: float, most: float) -> float:
    """Returns the value of an argument as a float in a closed range. Raises ValueError otherwise.

    Example:

    >>> from keras_convnext.scalars import between
    >>> between("probability", 0.5, 0, 1)
    0.5
    """
    found = number(name, value)
    if not least <= found <= most:
        raise ValueError(f"`{name}` must be from {least} to {most}. Received: {name}={value!r}")
    return found


def rate(name: str, value: Any) -> float:
    """Returns the value of an argument as a float in [0, 1).

    Args:
        name: the name of the argument, for the message.
        value: as for `number`.

    Raises:
        ValueError: the value is not a finite number in [0, 1).

    Example:

    >>> from keras_convnext.scalars import rate
    >>> rate("drop_rate", 0)
    0.0
    """
    found = number(name, value)
    if not 0 <= found < 1:
        raise ValueError(f"`{name}` must be at least 0 and below 1. Received: {name}={value!r}")
    return found


def share(name: str, value: Any) -> float:
    """Returns the value of an argument as a float in (0, 1].

    Args:
        name: the name of the argument, for the message.
        value: as for `number`.

    Raises:
        ValueError: the value is not a finite number in (0, 1].

    Example:

    >>> from keras_convnext.scalars import share
    >>> share("crop_pct", 0.875)
    0.875
    """
    found = number(name, value)
    if not 0 < found <= 1:
        raise ValueError(f"`{name}` must be above 0 and at most 1. Received: {name}={value!r}")
    return found


def interval(name: str, values: Any, most: float = math.inf) -> tuple[float, float]:
    """Returns two positive floats, the greater one last. Raises ValueError for other values.

    Example:

    >>> from keras_convnext.scalars import interval
    >>> interval("scale", (0.08, 1.0), most=1)
    (0.08, 1.0)
    """
    found = numbers(name, values)
    if len(found) != 2 or not 0 < found[0] <= found[1] <= most:
        bound = "" if most == math.inf else f", at most {most}"
        raise ValueError(f"`{name}` must be two positive numbers{bound}, the greater one last. Received: {values!r}")
    return found


def flag(name: str, value: Any) -> bool:
    """Returns the value of an argument as a bool. It may also be 1 or 0; raises ValueError for other values.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.scalars import flag
    >>> flag("use_grn", np.True_)
    True
    """
    found = plain(value)
    if not isinstance(found, Integral) or found not in (0, 1):
        raise ValueError(f"`{name}` must be True or False. Received: {name}={value!r}")
    return bool(found)


def optional(convert: Callable, name: str, value: Any, *bounds: Any) -> Any:
    """Returns None for None, and otherwise what `convert`, one of the functions here, returns for the value.

    Example:

    >>> from keras_convnext.scalars import integer, optional
    >>> optional(integer, "seed", None)
    """
    return None if value is None else convert(name, value, *bounds)


def integers(name: str, values: Any, least: int | None = None) -> tuple[int, ...]:
    """Returns several integers as a tuple of int. Raises ValueError as `integer` does.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.scalars import integers
    >>> integers("depths", np.array([3, 3, 9, 3]))
    (3, 3, 9, 3)
    """
    return tuple(integer(name, value, least) for value in sequence(name, values))


def numbers(name: str, values: Any, least: float | None = None) -> tuple[float, ...]:
    """Returns several finite numbers as a tuple of float. Raises ValueError as `number` does."""
    return tuple(number(name, value, least) for value in sequence(name, values))


def image_shape(name: str, values: Any) -> tuple[int | None, ...]:
    """Returns the shape of an image as a tuple of int, with None for sizes that are free.

    Raises ValueError for sizes below 1.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.scalars import image_shape
    >>> image_shape("input_shape", (None, np.int64(32), 3))
    (None, 32, 3)
    """
    return tuple(None if value is None else integer(name, value, 1) for value in sequence(name, values))


def sequence(name, values):
    """Returns several values, as a tuple or list of Python's own.

    Raises:
        ValueError: `values` is a single value.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.scalars import sequence
    >>> sequence("depths", np.array([3, 3]))
    (3, 3)
    """
    found = plain(values)
    if not isinstance(found, (list, tuple)):
        raise ValueError(f"`{name}` must be a tuple or list of numbers. Received: {name}={values!r}")
    return found


def plain(value):
    """Returns a value, or a structure of them, with Python's numbers in place of NumPy's. Arrays become tuples.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.scalars import plain
    >>> plain({"size": np.array([8, 8]), "rate": np.float64(0.5), "steps": [np.int64(1)]})
    {'size': (8, 8), 'rate': 0.5, 'steps': [1]}
    """
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(one) for one in value)
    if isinstance(value, np.str_):
        return str(value)
    if isinstance(value, np.ndarray) and value.ndim:
        return tuple(plain(one) for one in value)
    if getattr(value, "shape", None) == ():
        return (value if hasattr(value, "item") else value.numpy()).item()
    return value


def _from(least):
    return "" if least is None else f", at least {least}"
