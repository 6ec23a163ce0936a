"""Which layers and weights of a model are trainable, as a dict that a configuration can keep."""

import warnings

import keras

from keras_convnext.models.layer_tree import own_weights, sublayers


def trainability(model: keras.Model) -> dict[str, bool]:
    """The layers and weights whose `trainable` differs from that of the layer they are part of.

    Args:
        model: a functional model.

    Returns:
        Their `trainable` by path, outer layers first: `{"stem": False, "stage_0_block_1/norm/gamma": False}`.

    Example:

    >>> import keras
    >>> from keras_convnext.models.trainability import trainability
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="a"), keras.layers.Dense(2, name="b")])
    >>> model.get_layer("a").trainable = False
    >>> trainability(model)
    {'a': False}
    """
    return {path: one.trainable for path, one, whole in _parts(model) if one.trainable != whole.trainable}


def set_trainability(model: keras.Model, exceptions: dict[str, bool]) -> None:
    """Sets `trainable` as `trainability` found it in a model with the same layers.

    Args:
        model: a functional model.
        exceptions: `trainable` by path. Every other layer or weight gets the value of the layer that it is part of.
    """
    left = dict(exceptions)
    for path, one, whole in _parts(model):  # outer ones first: a layer passes its value on to its parts
        wanted = left.pop(path, whole.trainable)
        if one.trainable != wanted:
            one.trainable = wanted
    if left:
        warnings.warn(
            f"{model.name} has no layers or weights named {', '.join(left)}; their trainable state was not restored.",
            stacklevel=3,
        )


def _parts(model):
    """`(path, layer or weight, the layer it is part of)`, outer ones first."""
    for path, layer, whole in sublayers(model):
        yield path, layer, whole
        for weight in own_weights(layer):
            yield f"{path}/{weight.name}", weight, layer
