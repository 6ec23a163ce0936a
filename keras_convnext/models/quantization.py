"""Quantization of a whole model, in place: its linear layers, as Keras quantizes `keras.layers.Dense`."""

import warnings

from keras_convnext.checkpoints import is_quantized, layers_that

CALIBRATED_MODES = ("gptq", "awq")


def quantize_linear_layers(model, quantize, mode=None, config=None, **kwargs):
    """Calls Keras's `quantize` of a model, without its warning for each layer that has nothing to quantize.

    Args:
        model: a `ConvNeXtBackbone` or `ConvNeXtClassifier`.
        quantize: `keras.Model.quantize` of the model.
        mode, config, **kwargs: of the call.

    Raises:
        ValueError: a mode that needs calibration data, or no layer that was quantized.
    """
    mode = mode or getattr(config, "mode", None)
    if mode in CALIBRATED_MODES:
        raise ValueError(
            f"Keras calibrates mode {mode!r} on text, and has no calibration on images. Use 'int8', 'int4' or 'float8'. "
            f"Received: mode={mode!r}"
        )
    before = layers_that(is_quantized, model)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have a `quantize` method implemented")
        quantize(mode, config=config, **kwargs)
    if layers_that(is_quantized, model) == before:
        raise ValueError(
            "No layer was quantized. Keras quantizes linear layers; here they are called pointwise_conv_1, "
            f"pointwise_conv_2, head_hidden and head. Received: filters={kwargs.get('filters')!r}"
        )
