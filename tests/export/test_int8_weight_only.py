"""Keras's weight-only quantization: what it gains, and which formats it can be exported to."""

import keras
import pytest

from keras_convnext.export import FORMATS, export
from keras_convnext.export.int8 import WEIGHT_ONLY_FORMATS, WeightOnlyReport, check_weight_only, compare_weight_only
from keras_convnext.export.int8.weight_only_formats import MODES, REASONS

BACKEND = keras.backend.backend()
OWN = [(mode, format) for (mode, format), backends in WEIGHT_ONLY_FORMATS.items() if BACKEND in backends]
QUICK = [("int8", "torch"), ("int4", "litert")]


@pytest.fixture
def quantized(digits_model, tmp_path):
    """A function: the trained classifier, quantized."""

    def make(mode):
        digits_model.save(tmp_path / "float.keras")
        model = keras.saving.load_model(tmp_path / "float.keras")
        model.quantize(mode)
        (tmp_path / "float.keras").unlink()
        return model

    return make


@pytest.mark.once
def test_the_comparison_of_the_modes(digits_model, test_digits, tmp_path):
    images, labels = test_digits
    reports = compare_weight_only(digits_model, images, labels)
    assert [report.mode for report in reports] == ["int8", "int4", "float8"]
    assert all(report.agreement >= 0.9 for report in reports)
    assert all(report.float_accuracy - report.accuracy <= 0.05 for report in reports)
    assert all(report.latency > 0 for report in reports)
    compiled = tmp_path / "compiled.keras"
    digits_model.save(compiled)
    assert reports[0].float_size < 0.7 * compiled.stat().st_size, "the state of the optimizer is not counted"
    table = WeightOnlyReport.table(reports)
    assert len(table) == 5
    assert table[1].startswith("float32")
    assert table[2].endswith("onnx, torch, tf_saved_model")
    assert digits_model.layers[-1].quantization_mode is None, "the model itself is not changed"


def test_what_cannot_be_compared_is_refused(digits_model, quantized, test_digits):
    images, _ = test_digits
    with pytest.raises(ValueError, match="Received: 'int2'"):
        compare_weight_only(digits_model, images, modes=["int2"])
    with pytest.raises(ValueError, match="the outputs features"):
        compare_weight_only(digits_model.backbone, images)
    with pytest.raises(ValueError, match="Expected a float model"):
        compare_weight_only(quantized("int8"), images)


@pytest.mark.parametrize(
    "mode, format", [pytest.param(*pair, marks=[] if pair in QUICK else pytest.mark.slow) for pair in OWN]
)
def test_the_table_is_true(quantized, tmp_path, mode, format):
    exported = export(quantized(mode), tmp_path / f"model{FORMATS[format].suffix}", format)
    assert exported.backend == BACKEND


@pytest.mark.parametrize("mode, format", REASONS)
def test_other_formats_are_refused_before_work(quantized, tmp_path, monkeypatch, mode, format):
    model = quantized(mode)
    with pytest.raises(ValueError, match=f"quantized to {mode} is not exported to {FORMATS[format].title}: "):
        export(model, tmp_path / f"model{FORMATS[format].suffix}", format)
    assert list(tmp_path.iterdir()) == []


def test_every_mode_and_format_has_backends_or_a_reason():
    pairs = {(mode, format) for mode in MODES for format in FORMATS}
    assert set(WEIGHT_ONLY_FORMATS) | set(REASONS) == pairs
    assert not set(WEIGHT_ONLY_FORMATS) & set(REASONS)


def test_a_backend_that_does_not_write_it(quantized):
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
        check_weight_only(quantized("int4"), "onnx", "torch")
