"""Errors that end a training from outside: an image that can no longer be read, a dead process, too little memory."""

import contextlib

from keras_convnext import kernels


@contextlib.contextmanager
def original_errors(*batches):
    """A context of `fit` or `evaluate` that raises the same errors on every backend.

    TensorFlow replaces an error that batches raise by another one; here the original error is raised. Other errors of a
    backend while it computes, such as too little memory, are raised as `RuntimeError`.

    Args:
        *batches: the `data.Batches` that are used.

    Example:

    >>> from keras_convnext.data import Batches, load_digits
    >>> from keras_convnext.training.failures import original_errors
    >>> batches = Batches(load_digits().test, 8)
    >>> with original_errors(batches):
    ...     images, labels = batches[0]
    """
    try:
        with kernels.as_runtime_errors():
            yield
    except RuntimeError as error:
        failure = next((one.failure for one in batches if one.failure is not None), error)
        if failure is error:
            raise
        raise failure from error
