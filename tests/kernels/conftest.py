"""Blocks made of Keras's own layers, which the kernels are held against."""

import importlib.util

import keras
import numpy as np
import pytest

from keras_convnext.layers import ConvNeXtBlock, GlobalResponseNormalization

# The kernels of one backend: the tests import it.
collect_ignore = sorted({"jax", "tensorflow", "torch"} - {keras.backend.backend()})
if importlib.util.find_spec("triton") is None:
    collect_ignore.append("torch/test_depthwise_triton.py")

VERSIONS = {"v1": {"layer_scale_init_value": 1.0}, "v2": {"layer_scale_init_value": None, "use_grn": True}}
DIM = 6


class PlainBlock(keras.layers.Layer):
    """The block, layer by layer."""

    def __init__(self, kernel_size, dilation_rate, use_grn, mlp_ratio=4, activation="gelu", norm=None, conv_bias=True):
        super().__init__()
        norms = {None: keras.layers.LayerNormalization, "rms_norm": keras.layers.RMSNormalization}
        self.parts = [
            keras.layers.DepthwiseConv2D(kernel_size, padding="same", dilation_rate=dilation_rate, use_bias=conv_bias),
            norms[norm](epsilon=1e-6),
            keras.layers.Dense(int(mlp_ratio * DIM), activation=activation),
            *([GlobalResponseNormalization()] if use_grn else []),
            keras.layers.Dense(DIM),
        ]
        self.use_grn = use_grn

    def build(self, shape):
        for part in self.parts:
            part.build(shape)
            shape = part.compute_output_shape(shape)
        if not self.use_grn:
            self.gamma = self.add_weight(name="gamma", shape=(DIM,))

    def call(self, x):
        y = x
        for part in self.parts:
            y = part(y)
        return x + (y if self.use_grn else y * self.gamma)


@pytest.fixture(params=VERSIONS)
def pair(request, randomize):
    """A function: a block, and a plain one of the same weights."""

    def make(kernel_size=7, dilation_rate=1, **arguments):
        version = VERSIONS[request.param]
        block = ConvNeXtBlock(kernel_size=kernel_size, dilation_rate=dilation_rate, **version, **arguments)
        other = {name: value for name, value in arguments.items() if name != "remat"}
        plain = PlainBlock(kernel_size, dilation_rate, version.get("use_grn", False), **other)
        for layer in (block, plain):
            layer.build((None, None, None, DIM))
        randomize(block)
        for weight, twin in _twins(block, plain):
            twin.assign(np.array(weight))
        return block, plain

    return make


@pytest.fixture
def twins():
    return _twins


def _twins(block, plain):
    """Each weight of the block with that of the plain one."""
    parts = (block.depthwise_conv, block.norm, block.pointwise_conv_1, block.grn, block.pointwise_conv_2)
    pairs = []
    for part, layer in zip([part for part in parts if part is not None], plain.parts, strict=True):
        named = {weight.name.replace("scale", "gamma"): weight for weight in layer.weights}
        pairs += [(weight, named[weight.name]) for weight in part.weights]
    return pairs if block.layer_scale is None else [*pairs, (block.layer_scale.gamma, plain.gamma)]
