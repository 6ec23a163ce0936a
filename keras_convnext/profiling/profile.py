"""Parameters and multiply-accumulates (MACs) of any Keras model, layer by layer.

MACs follow the paper's convention: those of convolutions and linear layers. Norms, activations, biases, pooling and
residual sums are not counted, nor are the products of attention, unless asked for. One MAC is what the paper prints as
one FLOP; of the 34 networks on its path from ResNet to ConvNeXt two have another count than it prints (see
`models.roadmap.STEPS`).
"""

import math
import re
from dataclasses import dataclass

import keras


@dataclass(frozen=True)
class ProfileRow:
    """One call of one layer. One that gives its input back costs nothing.

    Attributes:
        path: of the layer in the model.
        layer: its class.
        output_shape: without its first axis: the batch, or what the model folds into it, such as windows.
        params: its trainable parameters.
        macs: for one image.
        activation_bytes: what its output takes for one image, in its own type.
    """

    path: str
    layer: str
    output_shape: tuple[int, ...]
    params: int
    macs: int
    activation_bytes: int


@dataclass(frozen=True)
class Profile:
    """The rows of a model, and their sums.

    Attributes:
        rows: a `ProfileRow` for each call of each layer that has no layers inside, in the order of the calls; where the
            products of attention are counted, one for each call of such a layer too.
        params: int, trainable parameters of the model, as torch counts them.
        macs: int, multiply-accumulates for one image.
        activation_bytes: int, what the outputs of all layers take for one image: about what training keeps of it for
            the backward pass.
    """

    rows: tuple[ProfileRow, ...]
    params: int
    macs: int
    activation_bytes: int


def profile(model, input_shape=None, attention=False, elementwise=False, counts=None):
    """Counts a model's parameters and multiply-accumulates for one image. Nothing is computed: only shapes are traced.

    Args:
        model: any built Keras model with one input.
        input_shape: tuple, shape of one image without the batch; needed where the model's own has None.
        attention: bool, whether the two products of Keras's `MultiHeadAttention`, queries by keys and weights by
            values, count as MACs. Defaults to False.
        elementwise: bool, whether layers without a kernel (norms, activations, pooling, sums) count one for each number
            that they give. Defaults to False.
        counts: dict from a class of layers to a function of such a layer and its input's shape, the batch of one
            included, that returns the MACs of a call beyond those of the layers inside: for attention that is not
            Keras's. Defaults to None.

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
    count_of = {layer: _macs for layer in _layers(model) if not _layers(layer)}
    if elementwise:
        count_of = dict.fromkeys(count_of, _macs_or_numbers)
    if attention:
        heads = [layer for layer in _layers(model) if isinstance(layer, keras.layers.MultiHeadAttention)]
        count_of |= dict.fromkeys(heads, _attention_macs)
    for kind, count in (counts or {}).items():
        own = [layer for layer in _layers(model) if isinstance(layer, kind)]
        count_of |= dict.fromkeys(own, _of_input_shape(count))
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


def _recorded(layer, call, count, rows):
    def recorded_call(*args, **kwargs):
        outputs = call(*args, **kwargs)
        if hasattr(outputs, "shape") and args and hasattr(args[0], "shape"):
            output_shape = tuple(outputs.shape)
            has_parts = bool(_layers(layer))  # which have rows of their own
            is_identity = outputs is args[0]
            item_size = 0 if has_parts or is_identity else _item_size(outputs.dtype)
            rows.append(
                ProfileRow(
                    path=layer.path or layer.name,
                    layer=type(layer).__name__,
                    output_shape=output_shape[1:],
                    params=0 if has_parts else sum(math.prod(weight.shape) for weight in layer.trainable_weights),
                    macs=0 if is_identity else count(layer, tuple(args[0].shape), output_shape, *args[1:], **kwargs),
                    activation_bytes=math.prod(output_shape) * item_size,
                )
            )
        return outputs

    return recorded_call


def _item_size(dtype):
    """Bytes of a number: of `bfloat16` two, of `bool` one."""
    bits = re.search(r"\d+", keras.backend.standardize_dtype(dtype))
    return int(bits[0]) // 8 if bits else 1


def _of_input_shape(count):
    return lambda layer, input_shape, *args, **kwargs: count(layer, input_shape)


def _attention_macs(layer, query_shape, output_shape, value, *args, **kwargs):
    """Each of the queries is held against each of the keys, and takes from each of the values."""
    return math.prod(query_shape[:2]) * value.shape[1] * layer.num_heads * (layer.key_dim + layer.value_dim)


def _macs_or_numbers(layer, input_shape, output_shape, *args, **kwargs):
    return _macs(layer, input_shape, output_shape) or math.prod(output_shape)


def _macs(layer, input_shape, output_shape, *args, **kwargs):
    """MACs of one call: every weight of a kernel is used once for each position of the map that it slides over."""
    if isinstance(layer, keras.layers.EinsumDense):
        operands, output_labels = layer.equation.split("->")
        kernel_labels = zip(operands.split(",")[1], layer.kernel.shape, strict=True)
        return math.prod(output_shape) * math.prod(size for label, size in kernel_labels if label not in output_labels)
    kernels = [getattr(layer, name, None) for name in ("kernel", "depthwise_kernel", "pointwise_kernel")]
    shape = input_shape if isinstance(layer, _TRANSPOSED) else output_shape
    sides = shape[2:] if getattr(layer, "data_format", None) == "channels_first" else shape[1:-1]
    return shape[0] * math.prod(sides) * sum(math.prod(kernel.shape) for kernel in kernels if kernel is not None)
