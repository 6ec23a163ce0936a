"""The layers of a model by path: the names from the outermost layer on, such as `"stage_0_block_1/norm"`."""

from collections.abc import Iterator

import keras


def sublayers(layer: keras.layers.Layer) -> Iterator[tuple[str, keras.layers.Layer, keras.layers.Layer]]:
    """Yields `(path, layer, parent)` for all layers inside a layer or model, outer layers first."""
    yield from _below(layer, _children(layer), "")


def own_weights(layer: keras.layers.Layer) -> list[keras.Variable]:
    """The weights of a layer that do not belong to a layer inside it."""
    inner = {id(weight) for child in _children(layer) for weight in child.weights}
    return [weight for weight in layer.weights if id(weight) not in inner]


def _below(layer, children, prefix):
    for child in children:
        yield f"{prefix}{child.name}", child, layer
        yield from _below(child, _children(child), f"{prefix}{child.name}/")


def _children(layer):
    """The layers directly inside. For a model, the layers of its graph, even if its attributes hold more layers."""
    return (
        layer.layers if isinstance(layer, keras.Model) else layer._flatten_layers(include_self=False, recursive=False)
    )
