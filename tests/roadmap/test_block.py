"""Norms and activations of a block, step by step, as the paper's text has them (section 2.6, Figure 4)."""

import keras
import pytest

from keras_convnext import roadmap
from keras_convnext.layers import DepthwiseConv2D

# step, norms, activations, kind of norm, name of the activation, depthwise convolutions
EVERY_BATCH_RELU = (3, 3, "BatchNormalization", "relu")
BLOCKS = {
    "resnet": (*EVERY_BATCH_RELU, 0),
    "resnet_enhanced": (*EVERY_BATCH_RELU, 0),
    "stage_ratio": (*EVERY_BATCH_RELU, 0),
    "patchify_stem": (*EVERY_BATCH_RELU, 0),
    "depthwise_conv": (*EVERY_BATCH_RELU, 1),
    "increase_width": (*EVERY_BATCH_RELU, 1),
    "inverting_dimensions": (*EVERY_BATCH_RELU, 1),
    "move_up_depthwise": (*EVERY_BATCH_RELU, 1),
    "kernel_5": (*EVERY_BATCH_RELU, 1),
    "kernel_7": (*EVERY_BATCH_RELU, 1),
    "kernel_9": (*EVERY_BATCH_RELU, 1),
    "kernel_11": (*EVERY_BATCH_RELU, 1),
    "gelu": (3, 3, "BatchNormalization", "gelu", 1),
    "fewer_activations": (3, 1, "BatchNormalization", "gelu", 1),
    "fewer_norms": (1, 1, "BatchNormalization", "gelu", 1),
    "bn_to_ln": (1, 1, "LayerNorm", "gelu", 1),
    "separate_downsampling": (1, 1, "LayerNorm", "gelu", 1),
}
# What a step's block is made of, in order, where it changes.
ORDERS = {
    "resnet": "Conv2D 1, norm, relu, Conv2D 3, norm, relu, Conv2D 1, norm, Add, relu",
    "inverting_dimensions": "Conv2D 1, norm, relu, DepthwiseConv2D 3, norm, relu, Conv2D 1, norm, Add, relu",
    "kernel_7": "DepthwiseConv2D 7, norm, relu, Conv2D 1, norm, relu, Conv2D 1, norm, Add, relu",
    "fewer_activations": "DepthwiseConv2D 7, norm, Conv2D 1, norm, gelu, Conv2D 1, norm, Add",
    "separate_downsampling": "DepthwiseConv2D 7, norm, Conv2D 1, gelu, Conv2D 1, Add",
}


def block_layers(step, block="stage_0_block_1"):
    """The layers of a block that keeps its size."""
    model = roadmap.build(step, num_classes=2, input_shape=(32, 32, 3), width_divisor=8)
    return [layer for layer in model.layers if layer.name.startswith(f"{block}_")]


def described(layer):
    if isinstance(layer, keras.layers.Activation):
        return layer.activation.__name__
    if isinstance(layer, keras.layers.BatchNormalization | keras.layers.LayerNormalization):
        return "norm"
    if isinstance(layer, keras.layers.Conv2D | DepthwiseConv2D):
        size = layer.kernel_size
        return f"{type(layer).__name__} {size if isinstance(size, int) else size[0]}"
    return type(layer).__name__


def test_every_step_is_here():
    assert list(BLOCKS) == list(roadmap.STEPS)


@pytest.mark.parametrize("step", BLOCKS)
def test_norms_and_activations(step):
    norms, activations, norm, activation, depthwise = BLOCKS[step]
    layers = block_layers(step)
    found = [layer for layer in layers if described(layer) == "norm"]
    assert len(found) == norms
    assert {type(layer).__name__ for layer in found} == {norm}
    assert [described(layer) for layer in layers if isinstance(layer, keras.layers.Activation)] == [
        activation
    ] * activations
    assert sum(isinstance(layer, DepthwiseConv2D) for layer in layers) == depthwise
    has_biases = {layer.use_bias for layer in layers if described(layer).startswith(("Conv2D", "Depthwise"))}
    assert has_biases == {norm == "LayerNorm"}


@pytest.mark.parametrize("step", ORDERS)
def test_the_order_in_a_block(step):
    assert ", ".join(map(described, block_layers(step))) == ORDERS[step]


@pytest.mark.parametrize(("step", "has_shortcut"), [("bn_to_ln", True), ("separate_downsampling", False)])
def test_a_shortcut_where_the_block_has_the_stride(step, has_shortcut):
    names = [layer.name for layer in block_layers(step, "stage_1_block_0")]
    assert ("stage_1_block_0_shortcut_conv" in names) == has_shortcut
