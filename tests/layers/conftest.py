"""The formulas that the layers are held against, in NumPy and float64."""

import math

import keras
import numpy as np
import pytest

from keras_convnext.layers import ConvNeXtBlock, GlobalResponseNormalization

# Of one backend alone: they import it.
OF_ONE_BACKEND = {
    "tensorflow": ["test_tensorflow_functions.py", "test_tensorflow_training.py"],
    "jax": ["test_depthwise_shifts.py", "test_jax_remat.py"],
    "torch": ["test_torch_inference.py", "test_torch_remat.py"],
}
collect_ignore = [
    name for backend, names in OF_ONE_BACKEND.items() if backend != keras.backend.backend() for name in names
]

_erf = np.vectorize(math.erf)


class Formulas:
    """Plain loops, written from the definitions."""

    @staticmethod
    def convolution(x, kernel, bias=0.0, strides=1, dilation=1, padding=(0, 0)):
        """Correlates `x` with `kernel` of shape `(height, width, channels in, channels out)`.

        `padding`: zeros before and after, the same for height and width.
        """
        x = np.pad(np.asarray(x, "float64"), ((0, 0), padding, padding, (0, 0)))
        side = kernel.shape[0]
        height, width = ((size - dilation * (side - 1) - 1) // strides + 1 for size in x.shape[1:3])
        y = np.zeros((x.shape[0], height, width, kernel.shape[-1]))
        for i in range(side):
            for j in range(side):
                rows = slice(i * dilation, i * dilation + strides * (height - 1) + 1, strides)
                columns = slice(j * dilation, j * dilation + strides * (width - 1) + 1, strides)
                y += x[:, rows, columns] @ kernel[i, j].astype("float64")
        return y + bias

    @staticmethod
    def depthwise(x, kernel, bias=0.0, dilation=1):
        """Correlates each channel with its own kernel, of shape `(side, side, channels, 1)`; the size is kept."""
        full = np.einsum("ijc,cd->ijcd", kernel[..., 0].astype("float64"), np.eye(kernel.shape[2]))
        margin = dilation * (kernel.shape[0] // 2)
        return Formulas.convolution(x, full, bias, dilation=dilation, padding=(margin, margin))

    @staticmethod
    def layer_norm(x, gamma, beta, epsilon):
        """Normalizes over the last axis."""
        x = np.asarray(x, "float64")
        mean = x.mean(-1, keepdims=True)
        variance = ((x - mean) ** 2).mean(-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta

    @staticmethod
    def rms_norm(x, gamma, epsilon):
        """Divides by the root mean square over the last axis."""
        x = np.asarray(x, "float64")
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon) * gamma

    @staticmethod
    def simple_norm(x, gamma, epsilon):
        """Divides by the unbiased standard deviation over the last axis."""
        x = np.asarray(x, "float64")
        return x / np.sqrt(x.var(-1, keepdims=True, ddof=1) + epsilon) * gamma

    @staticmethod
    def gelu(x):
        """The exact one, by the error function."""
        return 0.5 * x * (1 + _erf(x / math.sqrt(2)))

    @staticmethod
    def gelu_tanh(x):
        """The approximation."""
        x = np.asarray(x, "float64")
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    @staticmethod
    def silu(x):
        x = np.asarray(x, "float64")
        return x / (1 + np.exp(-x))

    @staticmethod
    def relu(x):
        return np.maximum(x, 0)

    @staticmethod
    def grn(x, gamma, beta, epsilon=1e-6):
        """Global Response Normalization, as the V2 paper's Algorithm 1."""
        x = np.asarray(x, "float64")
        norm = np.sqrt((x**2).sum(axis=(1, 2), keepdims=True))
        return x * (norm / (norm.mean(-1, keepdims=True) + epsilon)) * gamma + beta + x


@pytest.fixture
def formulas():
    return Formulas


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
