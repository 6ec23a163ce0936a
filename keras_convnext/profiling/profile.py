"""Parameters and multiply-accumulates (MACs) of any Keras model, layer by layer.

MACs follow the paper's convention: those of convolutions and linear layers. Norms, activations, biases, pooling and
residual sums are not counted. One MAC is what the paper prints as one FLOP.
"""

import math
from dataclasses import dataclass

import keras


@dataclass(frozen=True)
class ProfileRow:
    """One call of one layer: its path in the model, class, output shape without the batch, parameters and MACs."""

    path: str
    layer: str
    output_shape: tuple[int, ...]
    params: int
    macs: int


@dataclass(frozen=True)
class Profile:
    """The rows of a model, and their sums.

    Attributes:
        rows: a `ProfileRow` for each call of each layer that has no layers inside, in the order of the calls.
        params: int, trainable parameters of the model, as torch counts them.
        macs: int, multiply-accumulates for one image.
    """

    rows: tuple[ProfileRow, ...]
    params: int
    macs: int


def profile(model, input_shape=None):
    """Counts a model's parameters and multiply-accumulates for one image. Nothing is computed: only shapes are traced.

    Args:
        model: any built Keras model with one input.
        input_shape: tuple, shape of one image without the batch; needed where the model's own has None.

    Returns:
        A `Profile`.

    Raises:
        ValueError: the shape is not fully known.

    Example:

    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(16, 3, padding="same")])
    >>> result = profile(model)
    >>> result.params, result.macs
    (448, 27648)
    """
    shape = tuple(input_shape or model.input_shape[1:])
    if None in shape:
        raise ValueError(f"`input_shape` must be given where the model's own has None. Received: {shape}")
    rows = []
    leaves = [layer for layer in _layers(model) if not _layers(layer)]
    try:
        for layer in leaves:
            layer.call = _recorded(layer, layer.call, rows)
        _Trace(model, rows)(keras.Input(batch_shape=(1, *shape)))
    finally:
        for layer in leaves:
            if "call" in vars(layer):
                del layer.call
    params = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    return Profile(rows=tuple(rows), params=params, macs=sum(row.macs for row in rows))


_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)


class _Trace(keras.layers.Layer):
    """Calls a model on symbolic tensors. Having no `compute_output_shape`, it makes Keras trace the call itself."""

    def __init__(self, model, rows):
        super().__init__()
        self._call_model = model.__call__  # a method, not the model: a profile must not own the weights
        self._rows = rows

    def call(self, inputs):
        self._rows.clear()
        return self._call_model(inputs)


def _layers(layer):
    return list(layer._flatten_layers(include_self=False))


def _recorded(layer, call, rows):
    def recorded_call(*args, **kwargs):
        outputs = call(*args, **kwargs)
        if hasattr(outputs, "shape") and args and hasattr(args[0], "shape"):
            output_shape = tuple(outputs.shape)
            rows.append(
                ProfileRow(
                    path=layer.path or layer.name,
                    layer=type(layer).__name__,
                    output_shape=output_shape[1:],
                    params=sum(math.prod(weight.shape) for weight in layer.trainable_weights),
                    macs=_macs(layer, tuple(args[0].shape), output_shape),
                )
            )
        return outputs

    return recorded_call


def _macs(layer, input_shape, output_shape):
    """MACs of one call: every weight of a kernel is used once for each position of the map that it slides over."""
    if isinstance(layer, keras.layers.EinsumDense):
        operands, output_labels = layer.equation.split("->")
        kernel_labels = zip(operands.split(",")[1], layer.kernel.shape, strict=True)
        return math.prod(output_shape) * math.prod(size for label, size in kernel_labels if label not in output_labels)
    kernels = [getattr(layer, name, None) for name in ("kernel", "depthwise_kernel", "pointwise_kernel")]
    shape = input_shape if isinstance(layer, _TRANSPOSED) else output_shape
    sides = shape[2:] if getattr(layer, "data_format", None) == "channels_first" else shape[1:-1]
    return math.prod(sides) * sum(math.prod(kernel.shape) for kernel in kernels if kernel is not None)
