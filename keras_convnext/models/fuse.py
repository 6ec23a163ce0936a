"""Fusing a model for inference: layer scale is folded into the weights of the layer before it."""

import keras
import numpy as np

from keras_convnext.layers import ConvNeXtBlock


def without_layer_scale(config: dict) -> dict:
    """The configuration of a backbone or classifier, without the settings of layer scales, which a fused one lacks."""
    kept = {
        name: {path: value for path, value in config[name].items() if "layer_scale" not in path.split("/")}
        for name in ("trainability", "settings")
        if name in config
    }
    return {**config, **kept}


def fold_layer_scale(model: keras.Model, fused: keras.Model) -> None:
    """Copies the weights of a model into one that was made without layer scale.

        gamma * (x W + b) = x (W * gamma) + b * gamma

    The product is computed in float64, and rounded once.

    Args:
        model: a built model with `ConvNeXtBlock`s in it.
        fused: a model with the same layer names, whose blocks have no layer scale.

    Raises:
        ValueError: a block has an activation before its layer scale, or the models differ in weights other than layer
            scales.
    """
    values = {weight.path: np.asarray(weight) for weight in model.weights}
    for block in _blocks(model):
        if block.layer_scale is not None:
            if block.pointwise_conv_2.activation is not keras.activations.linear:
                raise ValueError(
                    f"Cannot fuse a model whose {block.name} has an activation after pointwise_conv_2: the layer scale "
                    "cannot be folded into the weights before it. Remove the activation first."
                )
            gamma = np.asarray(values.pop(block.layer_scale.gamma.path), "float64")
            for weight in block.pointwise_conv_2.weights:
                values[weight.path] = values[weight.path] * gamma
    unknown = sorted(values.keys() ^ {weight.path for weight in fused.weights})
    if unknown:
        raise ValueError(f"Cannot fuse a model whose weights do not match its configuration: {unknown}.")
    for weight in fused.weights:
        weight.assign(values[weight.path].astype(weight.dtype))


def _blocks(model):
    return [layer for layer in model._flatten_layers() if isinstance(layer, ConvNeXtBlock)]
