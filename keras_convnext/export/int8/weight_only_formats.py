"""Which formats a model that Keras quantized by `model.quantize(mode)` can be exported to."""

from types import MappingProxyType

import keras

from keras_convnext.checkpoints import is_quantized
from keras_convnext.export.formats import FORMATS

MODES = ("int8", "int4", "float8")
"""Keras's modes without calibration."""

WEIGHT_ONLY_FORMATS = MappingProxyType(
    {
        ("int8", "onnx"): ("torch", "tensorflow"),
        ("int8", "torch"): ("torch",),
        ("int8", "tf_saved_model"): ("tensorflow",),
        ("int4", "onnx"): ("tensorflow",),
        ("int4", "openvino"): ("tensorflow",),
        ("int4", "litert"): ("tensorflow",),
        ("int4", "torch"): ("torch",),
        ("int4", "tf_saved_model"): ("tensorflow",),
        ("float8", "onnx"): ("torch",),
        ("float8", "torch"): ("torch",),
        ("float8", "tf_saved_model"): ("tensorflow",),
    }
)
"""The backends that write a format from a mode, by mode and format. All of these files computed what the model
computes, within 1e-6 of the largest output."""

REASONS = MappingProxyType(
    {
        (
            "int8",
            "openvino",
        ): "OpenVINO cannot convert the rounding of activations from PyTorch, and computes something "
        "else from TensorFlow",
        ("int8", "litert"): "LiteRT has no product of integer matrices as TensorFlow writes it",
        ("float8", "openvino"): "OpenVINO rounds to float8 differently, or does not run the file",
        ("float8", "litert"): "LiteRT has no float8",
    }
)
"""Why no backend writes a format from a mode."""


def formats_of(mode: str) -> tuple[str, ...]:
    """The formats that a mode can be exported to, from at least one backend.

    Args:
        mode: one of `MODES`.

    Example:

    >>> from keras_convnext.export.int8.weight_only_formats import formats_of
    >>> formats_of("int8")
    ('onnx', 'torch', 'tf_saved_model')
    """
    return tuple(format for format in FORMATS if (mode, format) in WEIGHT_ONLY_FORMATS)


def weight_only_modes(model: keras.Model) -> list[str]:
    """The modes that the layers of a model are quantized in; empty for a float model."""
    layers = model._flatten_layers()
    return sorted({str(layer.quantization_mode) for layer in layers if is_quantized(layer)})


def check_weight_only(model: keras.Model, format: str, backend: str) -> None:
    """Raises an error if the quantized layers of a model cannot be exported.

    Args:
        model: any Keras model.
        format: a key of `FORMATS`.
        backend: the backend that is to write the format.

    Raises:
        ValueError: no backend writes the format from this mode, or this one does not.

    Example:

    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.export.int8 import check_weight_only
    >>> model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10, input_shape=(8, 8, 1))
    >>> check_weight_only(model, "litert", "tensorflow")
    >>> model.quantize("float8")
    >>> check_weight_only(model, "litert", "tensorflow")
    Traceback (most recent call last):
        ...
    ValueError: A model quantized to float8 is not exported to LiteRT: LiteRT has no float8. It can be exported to ...
    """
    for mode in weight_only_modes(model):
        backends = WEIGHT_ONLY_FORMATS.get((mode, format), ())
        if backend in backends:
            continue
        others = ", ".join(FORMATS[name].title for name in formats_of(mode))
        if backends:
            raise ValueError(
                f"{backend} does not write {FORMATS[format].title} from a model quantized to {mode}. Load the model "
                f"with KERAS_BACKEND={backends[0]} and export it there."
            )
        reason = REASONS.get((mode, format), "it is a mode that exports were not tried with")
        raise ValueError(
            f"A model quantized to {mode} is not exported to {FORMATS[format].title}: {reason}. It can be exported to "
            f"{others or 'no format'}. For int8 in other formats, export the float model with `quantize='int8'`."
        )
