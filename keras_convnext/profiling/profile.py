"""Parameters and multiply-accumulates (MACs) of any Keras model, layer by layer.

MACs follow the paper's convention and count convolutions and linear layers. Norms, activations, biases, pooling and
residual sums are not counted, and the products of attention only on request. One MAC is one FLOP in the paper. Two of
the 34 networks on its path from ResNet to ConvNeXt differ from the printed figure (see `roadmap.STEPS`).
"""

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import keras

from keras_convnext.scalars import image_shape


@dataclass(frozen=True)
class ProfileRow:
    """One call of one layer. A layer that returns its input costs nothing.

    Attributes:
        path: path of the layer in the model.
        layer: name of its class.
        output_shape: shape of the output without its first axis, which is the batch, or windows folded into the batch.
        params: number of trainable parameters.
        macs: multiply-accumulates for one image.
        activation_bytes: size of the output for one image, in its own type. Intermediate results within the layer are
            not included, such as the input of a Dense layer's activation.

    Example:

    >>> import keras
    >>> from keras_convnext.profiling import profile
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> row = profile(model).rows[0]
    >>> row.layer, row.output_shape, row.activation_bytes
    ('Dense', (2,), 8)
    """

    path: str
    layer: str
    output_shape: tuple[int, ...]
    params: int
    macs: int
    activation_bytes: int


@dataclass(frozen=True)
class Profile:
    """The counts of a model: a row for each call of a layer, and their sums.

    Attributes:
        rows: one for each call of a layer without sublayers, in the order of the calls. A layer
            with sublayers has a row too if it owns weights, or has products that are counted.
        params: trainable parameters of the model, as torch counts them.
        macs: multiply-accumulates for one image.
        activation_bytes: size of the outputs of all layers for one image. Training keeps these, and also the
            intermediate results that the gradients of operations within layers need.

    Example:

    >>> import keras
    >>> from keras_convnext.profiling import profile
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> counted = profile(model)
    >>> counted.params, counted.macs, len(counted.rows)
    (10, 8, 1)
    """

    rows: tuple[ProfileRow, ...]
    params: int
    macs: int
    activation_bytes: int


def profile(
    model: keras.Model,
    input_shape: tuple[int, ...] | None = None,
    attention: bool = False,
    elementwise: bool = False,
    counts: dict[type, Callable[[keras.Layer, list[tuple], tuple], int]] | None = None,
) -> Profile:
    """Counts a model's parameters and multiply-accumulates for one image. Only shapes are traced, nothing is computed.

    Args:
        model: any built model with one input.
        input_shape: shape of one image without the batch. It is needed if the model's own shape has None.
        attention: whether the two products of Keras's `MultiHeadAttention`, queries by keys and weights by
            values, count as MACs. Defaults to False.
        elementwise: whether layers without a kernel (norms, activations, pooling, sums) count one MAC for each
            number of their output. Defaults to False.
        counts: a dict from a layer class to a function `(layer, inputs, output)` of the shapes of its input and output
            tensors, with a batch of one. The function returns the MACs of a call beyond those of the sublayers. It is
            for attention layers that are not Keras's. Defaults to None.

    Raises:
        ValueError: the shape has None.

    Example:

    >>> import keras
    >>> from keras_convnext.profiling import profile
    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(16, 3, padding="same")])
    >>> result = profile(model)
    >>> result.params, result.macs
    (448, 27648)
    """
    shape = image_shape("input_shape", model.input_shape[1:] if input_shape is None else input_shape)
    if None in shape:
        raise ValueError(f"`input_shape` must be given where the model's own has None. Received: {shape}")
    rows: list[ProfileRow] = []
    own_counts = ({keras.layers.MultiHeadAttention: _attention_macs} if attention else {}) | (counts or {})
    of_kernels = _macs_or_numbers if elementwise else _macs
    count_of = {}
    for layer in _layers(model):
        own = [count for kind, count in own_counts.items() if isinstance(layer, kind)]
        if own:
            count_of[layer] = own[-1]
        elif not _layers(layer):
            count_of[layer] = of_kernels
        elif _own_params(layer):
            count_of[layer] = _no_macs
    try:
        for layer, count in count_of.items():
            layer.call = _recorded(layer, layer.call, count, rows)
        _Trace(model, rows)(keras.Input(batch_shape=(1, *shape)))
    finally:
        for layer in count_of:
            if "call" in vars(layer):
                del layer.call
    params = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    totals = {name: sum(getattr(row, name) for row in rows) for name in ("macs", "activation_bytes")}
    return Profile(rows=tuple(rows), params=params, **totals)


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


def _own_params(layer):
    """Trainable parameters that no layer inside has."""
    inside = {id(weight) for part in _layers(layer) for weight in part.weights}
    return sum(math.prod(weight.shape) for weight in layer.trainable_weights if id(weight) not in inside)


def _recorded(layer, call, count, rows):
    def recorded_call(*args, **kwargs):
        outputs = call(*args, **kwargs)
        inputs = _tensors(inspect.signature(call).bind(*args, **kwargs).arguments.values())
        output = next(iter(_tensors([outputs])), None)
        if inputs and output is not None:
            shape = tuple(output.shape)
            is_identity = output is inputs[0]
            item_size = 0 if is_identity or _layers(layer) else _item_size(output.dtype)
            rows.append(
                ProfileRow(
                    path=layer.path or layer.name,
                    layer=type(layer).__name__,
                    output_shape=shape[1:],
                    params=_own_params(layer),
                    macs=0 if is_identity else count(layer, [tuple(one.shape) for one in inputs], shape),
                    activation_bytes=math.prod(shape) * item_size,
                )
            )
        return outputs

    return recorded_call


def _tensors(values):
    return [value for value in keras.tree.flatten(list(values)) if hasattr(value, "shape")]


def _item_size(dtype):
    """The bytes of one number: 2 for `bfloat16`, 1 for `bool`."""
    bits = re.search(r"\d+", keras.backend.standardize_dtype(dtype))
    return int(bits[0]) // 8 if bits else 1


def _attention_macs(layer, inputs, output):
    """Each query is multiplied with each key, and each weight with each value."""
    queries, values = (math.prod(shape[1:-1]) for shape in inputs[:2])
    return inputs[0][0] * queries * values * layer.num_heads * (layer.key_dim + layer.value_dim)


def _no_macs(layer, inputs, output):
    return 0


def _macs_or_numbers(layer, inputs, output):
    return _macs(layer, inputs, output) or math.prod(output)


def _macs(layer, inputs, output):
    """MACs of one call: every weight of a kernel is used once for each position of the map that it slides over."""
    if isinstance(layer, keras.layers.EinsumDense):
        operands, output_labels = layer.equation.split("->")
        kernel_labels = zip(operands.split(",")[1], layer.kernel.shape, strict=True)
        return math.prod(output) * math.prod(size for label, size in kernel_labels if label not in output_labels)
    kernels = [getattr(layer, name, None) for name in ("kernel", "depthwise_kernel", "pointwise_kernel")]
    shape = inputs[0] if isinstance(layer, _TRANSPOSED) else output
    sides = shape[2:] if getattr(layer, "data_format", None) == "channels_first" else shape[1:-1]
    return shape[0] * math.prod(sides) * sum(math.prod(kernel.shape) for kernel in kernels if kernel is not None)
