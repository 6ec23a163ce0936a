"""`export(..., quantize="int8")`: from a Keras model to an int8 file, on any backend."""

import sys

import keras
import numpy as np
import pytest

from keras_convnext.export import ExportError, export, read_metadata
from keras_convnext.export.formats import find_format
from keras_convnext.export.int8 import quantize
from keras_convnext.extras import is_installed

BACKEND = keras.backend.backend()
OWN = {"torch": ".onnx", "tensorflow": ".tflite", "jax": None}[BACKEND]
"""A format that this backend writes; none for JAX."""
ELSEWHERE = [(".tflite", "tensorflow"), (".onnx", "torch")]


@pytest.mark.once
@pytest.mark.skipif(OWN is None, reason="JAX writes no format itself")
def test_v2_is_quantized_from_keras(digits_model_v2, calibration, tmp_path):
    exported = export(digits_model_v2, tmp_path / f"v2{OWN}", quantize="int8", calibration=calibration, softmax=True)
    assert exported.dtype == "int8"
    assert exported.size == exported.int8.int8_size < exported.int8.float_size
    assert exported.int8.agreement >= 0.98
    assert exported.int8.accuracy_lost <= 0.01
    metadata = read_metadata(exported.path)
    assert (metadata["dtype"], metadata["outputs"]) == ("int8", ["probabilities"])
    assert [file.name for file in tmp_path.iterdir()] == [f"v2{OWN}"]


@pytest.mark.slow
@pytest.mark.parametrize("suffix, writer", ELSEWHERE)
def test_a_format_of_another_backend(digits_model, calibration, tmp_path, suffix, writer):
    if BACKEND in find_format(f"a{suffix}").writers or not is_installed(writer):
        pytest.skip(f"{writer} must be installed, and a backend run that does not write {suffix}")
    exported = export(digits_model, tmp_path / f"digits{suffix}", quantize="int8", calibration=calibration[0])
    assert exported.backend == writer
    assert exported.int8.agreement >= 0.98


def test_what_cannot_be_quantized_is_refused_before_work(digits_model, calibration, tmp_path, monkeypatch):
    images, labels = calibration
    monkeypatch.setattr(sys.modules["keras_convnext.export.export_model"], "write_and_check", None)  # the work
    free = {"format": None, "quantize": "int8", "calibration": images}
    for model, path, changes, message in [
        (digits_model, "a.pt2", {}, "torch.export is not quantized"),
        (digits_model, "folder", {"format": "tf_saved_model"}, "SavedModel is not quantized"),
        (digits_model, "a.onnx", {"quantize": "int2"}, "must be 'int8'"),
        (digits_model, "a.onnx", {"calibration": None}, "needs `calibration`"),
        (digits_model, "a.onnx", {"quantize": None}, "with `quantize='int8'` only"),
        (digits_model, "a.onnx", {"dtype": "float16"}, "a file in float16"),
        (digits_model, "a.onnx", {"preprocess": True}, "resizes and crops images itself"),
        (digits_model, "a.onnx", {"calibration": images[:, 1:]}, r"\(images, 8, 8, 1\)"),
        (digits_model, "a.onnx", {"calibration": (images, labels[1:])}, "Expected labels"),
        (digits_model.backbone, "a.onnx", {}, "the outputs features"),
    ]:
        with pytest.raises(ValueError, match=message):
            export(model, tmp_path / path, **{**free, **changes})
    assert list(tmp_path.iterdir()) == []


def test_a_quantized_keras_model_is_refused(digits_model, calibration, tmp_path):
    digits_model.save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    model.quantize("int8")
    with pytest.raises(ValueError, match="Quantize the float model"):
        export(model, tmp_path / "a.onnx", quantize="int8", calibration=calibration[0])


@pytest.mark.skipif(OWN is None, reason="JAX writes no format itself")
def test_nothing_is_left_if_the_classes_differ(digits_model, calibration, tmp_path, monkeypatch):
    monkeypatch.setattr("keras_convnext.export.int8.quantization.LEAST_AGREEMENT", 1.01)
    with pytest.raises(ExportError, match="calibration images; at least 101% is needed"):
        export(digits_model, tmp_path / f"a{OWN}", quantize="int8", calibration=calibration)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "torch", reason="int8 does not depend on the backend")
def test_pixels_of_a_segmentation_model(tmp_path):
    """A UPerNet that learns to tell dark from bright pixels: its agreement is counted by pixels."""
    from keras_convnext import ConvNeXtBackbone
    from keras_convnext.segmentation import UPerNet

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 2, (16, 4, 4))
    labels = coarse.repeat(8, axis=1).repeat(8, axis=2)
    images = (200 * labels[..., None] + rng.integers(0, 50, (16, 32, 32, 1))).astype("float32")
    backbone = ConvNeXtBackbone(
        (1, 1, 1, 1), (8, 8, 16, 16), kernel_size=3, input_shape=(32, 32, 1), level_norm=True, stem_patch_size=2
    )
    model = UPerNet(backbone, 2, hidden_size=16, auxiliary_hidden_size=None)
    model.compile(keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images, labels, batch_size=8, epochs=6, verbose=0)
    path = tmp_path / "float.onnx"
    export(model, path)
    marked = labels.copy()
    marked[:, :4] = 255
    report = quantize(path, tmp_path / "int8.onnx", images, marked)
    assert report.agreement >= 0.95
    assert report.float_accuracy > 0.8
    assert report.accuracy_lost < 0.02
