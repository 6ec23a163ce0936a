"""Quantizing the linear layers of a model in place, as Keras quantizes `keras.layers.Dense`."""

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_convnext.checkpoints import is_quantized

CALIBRATED_MODES = ("gptq", "awq")


def quantize_linear_layers(
    model: keras.Model,
    quantize: Callable,
    mode: str | None = None,
    config: keras.quantizers.QuantizationConfig | None = None,
    filters: str | Sequence[str] | Callable | None = None,
    **kwargs: Any,
) -> None:
    """Calls Keras's `quantize` of a model, without its warning for each layer that has nothing to quantize.

    Args:
        model: a `ConvNeXtBackbone` or `ConvNeXtClassifier`.
        quantize: `keras.Model.quantize` of the model.
        mode: as for `ImageModel.quantize`.
        config: as for `ImageModel.quantize`.
        filters: as for `ImageModel.quantize`.
        **kwargs: other arguments of `quantize`.

    Raises:
        ValueError: the mode needs calibration data, a layer is quantized already, or no layer can be quantized. The
            model is then unchanged.
    """
    if mode in CALIBRATED_MODES:
        raise ValueError(
            f"Keras calibrates mode {mode!r} on text, not on images. Use 'int8', 'int4' or 'float8'. Received: "
            f"mode={mode!r}"
        )
    linear = {id(layer): layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dense)}
    chosen = [layer for layer in linear.values() if _matches(filters, layer)]
    again = [layer.path for layer in chosen if is_quantized(layer)]
    if again:
        raise ValueError(
            f"{len(again)} layers are quantized already, such as {again[0]}. Quantize the float model, or choose other "
            f"layers. Received: filters={filters!r}"
        )
    if not chosen:
        names = ", ".join(sorted({layer.name for layer in linear.values()}))
        raise ValueError(f"`filters` must match a linear layer: {names}. Received: filters={filters!r}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have a `quantize` method implemented")
        quantize(mode, config=config, filters=filters, **kwargs)


def _matches(filters, layer):
    """Whether Keras quantizes a layer: `filters` is a regex, a list of them, or a function of the layer."""
    if filters is None:
        return True
    if callable(filters):
        return filters(layer)
    return any(re.search(pattern, layer.name) for pattern in ([filters] if isinstance(filters, str) else filters))
