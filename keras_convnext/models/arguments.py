"""The names of the arguments that a model's `from_preset` passes on."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from inspect import Parameter, signature


def check_names(given: Iterable[str], functions: Iterable[Callable], caller: str) -> None:
    """Refuses names that are not parameters of any of the functions.

    Args:
        given: names of arguments.
        functions: functions or classes.
        caller: the function that the user called, for the message.

    Raises:
        TypeError: a name is unknown; the message has the nearest one.

    Example:

    >>> from keras_convnext.models.arguments import check_names
    >>> check_names(["sep"], [print], "print")
    """
    parameters = [parameter for function in functions for parameter in signature(function).parameters.values()]
    known = [parameter.name for parameter in parameters if parameter.kind is not Parameter.VAR_KEYWORD]
    for name in given:
        if name not in known:
            nearest = get_close_matches(name, known, n=1)
            hint = f" Did you mean `{nearest[0]}`?" if nearest else ""
            raise TypeError(f"{caller}() got an unexpected argument `{name}`.{hint}")
