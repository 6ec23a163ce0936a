"""Recomputation in the backward pass."""

from collections.abc import Callable

import keras


def remat(function: Callable) -> Callable:
    """Returns a function like `function` that keeps only its arguments for the gradient (arXiv:1604.06174).

    The backward pass recomputes the rest.

    Args:
        function: function of x and further tensors. Its result for one image of x must not depend on the other images.
            It must not use random numbers, because the backward pass would sample others.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> function = kernels.remat(lambda x, kernel: kernels.linear(x, kernel, None))
    >>> tuple(function(ops.ones((2, 4)), ops.ones((4, 3))).shape)
    (2, 3)
    """
    return keras.remat(function)
