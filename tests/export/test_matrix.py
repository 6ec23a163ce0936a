"""Every format from every backend, for classifiers of both versions, a detector and a segmenter; outputs compared."""

import keras
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.detection import retinanet
from keras_convnext.export import FORMATS, export, read_metadata
from keras_convnext.segmentation import UPerNet

SIZES = {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32), "kernel_size": 3}
MODELS = {
    "v1": lambda: ConvNeXtClassifier.from_preset("convnext_atto", num_classes=10),
    "v2": lambda: ConvNeXtClassifier.from_preset("convnextv2_atto", num_classes=10),
    "retinanet": lambda: retinanet("convnext_atto", 3, input_shape=(128, 128, 3)),
    "upernet": lambda: UPerNet.from_preset("convnext_atto", num_classes=5, hidden_size=16, input_shape=(64, 64, 3)),
    "small v1": lambda: ConvNeXtClassifier(ConvNeXtBackbone(**SIZES), 5),
    "small v2": lambda: ConvNeXtClassifier(ConvNeXtBackbone(**SIZES, use_grn=True, layer_scale_init_value=None), 5),
    "small upernet": lambda: UPerNet(ConvNeXtBackbone(**SIZES, level_norm=True, input_shape=(64, 64, 3)), 5, 8, 4),
}
OUTPUTS = {"retinanet": {"box", "classification"}}
IN_EVERY_RUN = {
    "torch": {("small v2", "onnx"), ("small upernet", "torch"), ("small v1", "openvino")},
    "tensorflow": {
        *(("small v1", "onnx"), ("small v2", "litert")),
        *(("small v2", "tf_saved_model"), ("small upernet", "litert")),
    },
    "jax": {("small v1", "onnx")},
}
"""The cells that are not slow. JAX writes nothing itself: each of its cells starts another process."""

CELLS = [
    pytest.param(
        model, format, marks=() if (model, format) in IN_EVERY_RUN[keras.backend.backend()] else pytest.mark.slow
    )
    for model in MODELS
    for format in FORMATS
    if not model.startswith("small") or (model, format) in IN_EVERY_RUN[keras.backend.backend()]
]


def with_weights(model, randomize):
    """Gives a model random weights, of which variances are positive."""
    randomize(model, deviation=0.1)
    for weight in model.weights:
        if weight.path.endswith("moving_variance"):
            weight.assign(abs(weight) + 1)
    return model


def declared_shape(format, path):
    """The sizes that the runtime knows before it runs; None for free ones, and for a whole shape if it does not say."""
    if format == "onnx":
        import onnxruntime

        (image,) = onnxruntime.InferenceSession(str(path)).get_inputs()
        names = "batch", "height", "width", "channels"
        return [None if size == name else size for size, name in zip(image.shape, names, strict=True)]
    if format == "openvino":
        import openvino

        sizes = openvino.Core().read_model(str(path)).inputs[0].get_partial_shape()
        return [None if size.is_dynamic else size.get_length() for size in sizes]
    if format == "litert":
        from ai_edge_litert.interpreter import Interpreter

        (image,) = Interpreter(str(path)).get_input_details()
        return [None if size == -1 else int(size) for size in image["shape_signature"]]
    return None


@pytest.mark.parametrize("model, format", CELLS)
def test_a_model_in_a_format(model, format, randomize, tmp_path, backend):
    made = with_weights(MODELS[model](), randomize)
    path = tmp_path / f"model{FORMATS[format].suffix}"
    exported = export(made, path, format)
    assert 0 < exported.difference < exported.tolerance == 1e-4
    assert exported.backend == (backend if backend in FORMATS[format].writers else next(iter(FORMATS[format].writers)))
    metadata = read_metadata(path)
    assert set(metadata["outputs"]) == OUTPUTS.get(model, {"logits"})
    assert metadata["dtype"] == "float32"
    assert declared_shape(format, path) in (None, list(made.input_shape))


HEADS_IN_FLOAT32 = [("retinanet", "torch"), ("retinanet", "tf_saved_model")]
"""The weights of keras-cv's heads are float32: PyTorch cannot initialize all in float16. ONNX stores their casts."""

FLOAT16_IN_EVERY_RUN = {"torch": ["onnx"], "tensorflow": ["onnx", "litert", "tf_saved_model"], "jax": []}
FLOAT16 = [pytest.param("small v2", format) for format in FLOAT16_IN_EVERY_RUN[keras.backend.backend()]] + [
    pytest.param(model, format, marks=pytest.mark.slow)
    for model in ("v1", "v2", "retinanet", "upernet")
    for format in FORMATS
]


@pytest.mark.parametrize("model, format", FLOAT16)
def test_a_model_in_float16(model, format, randomize, tmp_path):
    made = with_weights(MODELS[model](), randomize)
    path = tmp_path / f"model{FORMATS[format].suffix}"
    exported = export(made, path, format, dtype="float16")
    assert 0 < exported.difference < exported.tolerance == 1e-2
    single = export(made, tmp_path / f"float32{FORMATS[format].suffix}", format)
    assert single.difference < exported.difference
    assert (
        exported.size
        < (1.0 if model.startswith("small") or (model, format) in HEADS_IN_FLOAT32 else 0.75) * single.size
    )
