"""The fields of dataclasses that hold settings: checked by their types, and read from JSON."""

from collections.abc import Callable
from dataclasses import fields
from types import NoneType
from typing import Any, get_args, get_origin

from keras_convnext.scalars import flag, integer, number, plain, sequence

CHECKS: dict[Any, Callable[[str, Any], object]] = {int: integer, float: number, bool: flag}
"""The function that checks the values of a field, by its type."""


def make_plain(instance: Any) -> None:
    """Replaces NumPy's numbers in every field of a frozen dataclass by Python's. Call it in `__post_init__`."""
    for field in fields(instance):
        object.__setattr__(instance, field.name, plain(getattr(instance, field.name)))


def check_fields(instance: Any) -> None:
    """Checks those fields of a dataclass that are int, float or bool, a tuple of these, or one of these or None.

    Raises:
        ValueError: a value is not of its field's type; the message has the name of the field.
    """
    for field in fields(instance):
        value = getattr(instance, field.name)
        kinds = [kind for kind in get_args(field.type) or (field.type,) if kind is not NoneType]
        if NoneType in get_args(field.type) and value is None:
            continue
        is_tuple = tuple in (get_origin(field.type), get_origin(kinds[0]))
        kind = get_args(kinds[0])[0] if get_origin(kinds[0]) is tuple else kinds[0]
        check = CHECKS.get(kind)
        if check:
            for one in sequence(field.name, value) if is_tuple else (value,):
                check(field.name, one)


def dataclass_from(kind: type, config: dict) -> Any:
    """Makes an instance of a dataclass from a dict that was read from JSON. Lists become tuples.

    Args:
        kind: the dataclass.
        config: its fields.

    Raises:
        ValueError: `config` is not a dict, has a name that is not a field, or lacks a required field.
    """
    known = {field.name for field in fields(kind)}
    if not isinstance(config, dict):
        raise ValueError(f"Expected a dict of {kind.__name__}'s settings. Received: {config!r}")
    unknown = sorted(set(config) - known)
    missing = [one.name for one in fields(kind) if one.default is one.default_factory and one.name not in config]
    if missing:
        raise ValueError(f"{kind.__name__} requires {', '.join(missing)}.")
    if unknown:
        raise ValueError(f"No such setting: {', '.join(unknown)}. {kind.__name__} has {', '.join(sorted(known))}.")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in config.items()})
