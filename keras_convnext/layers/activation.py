"""The activations that a ConvNeXt may have, by name."""

from collections.abc import Callable

import keras
from keras import ops

from keras_convnext.layers.gelu import gelu


@keras.saving.register_keras_serializable(package="keras_convnext")
def gelu_tanh(x):
    """GELU by its approximation with tanh (arXiv:1606.08415, section 2).

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from keras_convnext.layers.activation import gelu_tanh
    >>> print(keras.ops.convert_to_numpy(gelu_tanh(np.array([-1.0, 0.0, 1.0], "float32"))).round(4))
    [-0.1588  0.      0.8412]
    """
    return ops.gelu(x, approximate=True)


ACTIVATIONS = {"gelu": gelu, "gelu_tanh": gelu_tanh}
"""The activations that take precedence over Keras's of the same name."""


def get_activation(activation: str | dict | Callable | None) -> Callable:
    """The function of an activation.

    Args:
        activation: a name in `ACTIVATIONS` or `keras.activations`, a function of `keras.activations`, a registered
            function, or the configuration of one. None is the linear activation.

    Raises:
        ValueError: the name is unknown, or the function is a lambda, which cannot be saved in a file.

    Example:

    >>> from keras_convnext.layers.activation import get_activation
    >>> get_activation("silu").__name__
    'silu'
    """
    if isinstance(activation, str) and activation in ACTIVATIONS:
        return ACTIVATIONS[activation]
    try:
        function = keras.activations.get(activation)
    except ValueError as error:
        raise ValueError(
            f"An activation must be {', '.join(ACTIVATIONS)} or another name in keras.activations, such as silu or "
            f"relu. Received: {activation!r}"
        ) from error
    if getattr(function, "__name__", "") == "<lambda>":
        raise ValueError(
            "An activation must not be a lambda, which cannot be saved in a file. Use a function registered with "
            "keras.saving.register_keras_serializable()."
        )
    return function


def activation_config(activation: str | dict | Callable | None) -> str | dict:
    """The serialized form of an activation: its name, or Keras's configuration of a custom function.

    Args:
        activation: as for `get_activation`, which checks it.

    Example:

    >>> import keras
    >>> from keras_convnext.layers.activation import activation_config
    >>> activation_config(keras.activations.silu), activation_config("gelu_tanh")
    ('silu', 'gelu_tanh')
    """
    function = get_activation(activation)
    if isinstance(activation, str):
        return activation
    for name, known in ACTIVATIONS.items():
        if known is function:
            return name
    config = keras.activations.serialize(function)
    if isinstance(config, dict):  # Keras sets an id while it loads a file; it is valid only in that file
        config.pop("shared_object_id", None)
    return config
