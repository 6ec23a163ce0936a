"""Checks for plain weights: quantized models and models with LoRA cannot be fused, transferred, or converted."""

from collections.abc import Callable

import keras


def require_float_weights(model: keras.Model, action: str) -> None:
    """Raises an error for a model with quantized layers or with LoRA.

    Args:
        model: a model.
        action: the action that needs float weights, such as `"fuse"`, for the message.

    Raises:
        ValueError: there are such layers. The message names them and says what to do.

    Example:

    >>> import keras
    >>> from keras_convnext.checkpoints import require_float_weights
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")])
    >>> require_float_weights(model, "fuse")
    >>> model.quantize("int8")
    >>> require_float_weights(model, "fuse")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: Cannot fuse a model with quantized layers (...head). Quantize last: fuse the float model, then quantize.
    """
    quantized = layers_that(is_quantized, model)
    if quantized:
        raise ValueError(
            f"Cannot {action} a model with quantized layers ({_some(quantized)}). Quantize last: {action} the float "
            "model, then quantize."
        )
    with_lora = layers_that(has_lora, model)
    if with_lora:
        raise ValueError(
            f"Cannot {action} a model with LoRA ({_some(with_lora)}). Enable LoRA last, or merge it: "
            "`model.save_weights` writes the merged weights, which you can load into a model without LoRA."
        )


def layers_that(condition: Callable[[keras.layers.Layer], bool], model: keras.Model) -> list[str]:
    """The paths of those layers of a model, at any depth, that meet a condition.

    Args:
        condition: function of a layer.
        model: the model to search.

    Example:

    >>> import keras
    >>> from keras_convnext.checkpoints import layers_that
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="model")
    >>> layers_that(lambda layer: isinstance(layer, keras.layers.Dense), model)
    ['model/head']
    """
    return [layer.path or layer.name for layer in model._flatten_layers() if condition(layer)]


def is_quantized(layer: keras.layers.Layer) -> bool:
    """Whether a layer's weights are quantized.

    Args:
        layer: any Keras layer.

    Example:

    >>> import keras
    >>> from keras_convnext.checkpoints import is_quantized
    >>> layer = keras.layers.Dense(2)
    >>> layer.build((None, 4))
    >>> layer.quantize("int8")
    >>> is_quantized(layer)
    True
    """
    return layer.quantization_mode is not None


def has_lora(layer: keras.layers.Layer) -> bool:
    """Whether a layer has low-rank adapters."""
    return bool(getattr(layer, "lora_enabled", False))


def _some(names):
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
