"""The forward pass against keras.applications.ConvNeXtTiny, which we did not write, with the same random weights."""

import keras
import numpy as np

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier

PARTS = {"depthwise_conv": "depthwise_conv", "norm": "layernorm", "layer_scale": "layer_scale"}
PARTS |= {name: name for name in ("pointwise_conv_1", "pointwise_conv_2")}


def name_in_keras_applications(owner):
    """The layer there with the weights of our `owner`: `stage_2_downsample/conv` -> `..._downsampling_conv_1`."""
    first, _, part = owner.partition("/")
    if first == "stem":
        name = {"conv": "stem_conv", "norm": "stem_layernorm"}[part]
    elif first.startswith("head"):
        name = {"head_norm": "head_layernorm", "head": "head_dense"}[first]
    elif first.endswith("_downsample"):
        name = f"downsampling_{ {'conv': 'conv', 'norm': 'layernorm'}[part] }_{int(first.split('_')[1]) - 1}"
    else:
        name = f"{first}_{PARTS[part]}"
    return f"convnext_tiny_{name}"


def copy_weights(model, peer):
    """Copies by name, and sees to it that each layer of the peer gets all its weights, once."""
    layers = {layer.name: layer for layer in peer._flatten_layers() if layer.weights and not hasattr(layer, "layers")}
    values = {}
    for weight in model.weights:
        owner, _, name = weight.path.rpartition("/")
        value = keras.ops.convert_to_numpy(weight.value)
        if owner.endswith("depthwise_conv") and name == "kernel":
            value = value.transpose(0, 1, 3, 2)
        values.setdefault(name_in_keras_applications(owner), []).append(value)
    assert sorted(values) == sorted(layers)
    for name, layer in layers.items():
        layer.set_weights(values[name])


def give_random_weights(model, rng):
    """So that every part shows in the output: layer scales around 0.3, biases, norms that are not the identity."""
    for weight in model.weights:
        shape, scale = weight.shape, 0.1
        if weight.name == "kernel":
            scale = 1 / np.sqrt(np.prod(shape[:-1] if shape[-1] > 1 else shape[:2]))
        start = {"gamma": 0.3 if "layer_scale" in weight.path else 1.0}.get(weight.name, 0.0)
        weight.assign((start + scale * rng.normal(size=shape)).astype("float32"))


def test_equals_keras_applications(rng, numpy_of):
    backbone = ConvNeXtBackbone.from_preset("convnext_tiny", include_preprocessing=False, input_shape=(64, 64, 3))
    model = ConvNeXtClassifier(backbone, 10)
    give_random_weights(model, rng)
    peer = keras.applications.ConvNeXtTiny(
        weights=None,
        include_preprocessing=False,
        classifier_activation=None,
        classes=10,
        input_shape=(64, 64, 3),
        name="convnext_tiny",
    )
    copy_weights(model, peer)
    x = rng.normal(size=(2, 64, 64, 3)).astype("float32")
    into_stage_2 = peer.get_layer("convnext_tiny_downsampling_block_1")._inbound_nodes[-1].input_tensors[0]
    logits, feature_map = numpy_of(keras.Model(peer.input, [peer.output, into_stage_2]), x)
    own_map = numpy_of(keras.Model(backbone.input, backbone.pyramid_outputs["P3"]), x)
    own_logits = numpy_of(model, x)
    assert feature_map.std() > 0.3
    assert logits.std() > 0.3
    assert np.abs(own_map - feature_map).max() < 1e-4
    assert np.abs(own_logits - logits).max() < 1e-4
