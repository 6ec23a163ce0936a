"""Gradients of several replicas of a model that train together."""

from collections.abc import Callable

from keras_convnext.typing import Tensor


def on_summed_gradients(function: Callable[[list[Tensor]], list[Tensor]], gradients: list[Tensor]) -> list[Tensor]:
    """Calls a function, such as a limit on the norm, on gradients that are summed over the replicas.

    Where the gradients are those of the whole batch already, it is called on them as they are.

    Args:
        function: takes and returns a list of gradients.
        gradients: the gradients of this replica's share of the batch.

    Returns:
        What the optimizer, which sums over the replicas itself, is to be given: the function's results, divided by the
        number of replicas.

    Example:

    >>> from keras_convnext import kernels
    >>> kernels.on_summed_gradients(lambda gradients: [min(one, 2.0) for one in gradients], [1.0, 3.0])
    [1.0, 2.0]
    """
    return function(gradients)
