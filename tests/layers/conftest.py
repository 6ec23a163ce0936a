"""The formulas that the layers are held against, in NumPy and float64."""

import math

import numpy as np
import pytest

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
