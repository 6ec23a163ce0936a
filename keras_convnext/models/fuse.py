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
        fused: a model of the same layers in the same order, whose blocks have no layer scale. The names of the layers
            may differ, since keras-cv numbers its own.

    Raises:
        ValueError: a block has an activation before its layer scale, or the models differ in weights other than layer
            scales.
    """
    scales: dict[int, keras.Variable] = {}  # by the id of the weight that is scaled
    removed = set()
    for block in _blocks(model):
        if block.layer_scale is not None:
            if block.pointwise_conv_2.activation is not keras.activations.linear:
                raise ValueError(
                    f"Cannot fuse a model whose {block.name} has an activation after pointwise_conv_2: the layer scale "
                    "cannot be folded into the weights before it. Remove the activation first."
                )
            removed.add(id(block.layer_scale.gamma))
            scales |= {id(weight): block.layer_scale.gamma for weight in block.pointwise_conv_2.weights}
    kept = [weight for weight in model.weights if id(weight) not in removed]
    if len(kept) != len(fused.weights):
        raise ValueError(
            f"Cannot fuse a model whose weights do not match its configuration: it has {len(kept)} weights besides the "
            f"layer scales, and its configuration makes {len(fused.weights)}."
        )
    for weight, new in zip(kept, fused.weights, strict=True):
        if (weight.name, weight.shape) != (new.name, new.shape):
            raise ValueError(
                f"Cannot fuse a model whose weights do not match its configuration: it has {weight.path} of shape "
                f"{tuple(weight.shape)}, and its configuration makes {new.path} of shape {tuple(new.shape)}."
            )
        value = np.asarray(weight)
        if id(weight) in scales:
            value = value * np.asarray(scales[id(weight)], "float64")
        new.assign(value.astype(new.dtype))


def _blocks(model):
    return [layer for layer in model._flatten_layers() if isinstance(layer, ConvNeXtBlock)]
