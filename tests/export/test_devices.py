"""Where an export computes: exactly, and so that the file runs on any device. Without a GPU, other devices stand in."""

import keras
import pytest

from keras_convnext import ConvNeXtClassifier
from keras_convnext.export import export
from keras_convnext.export.write_and_check import _programs

on_torch = pytest.mark.skipif(keras.backend.backend() != "torch", reason="of torch's programs")
on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow's programs")

TINY = {"depths": (1, 1), "dims": (8, 16), "kernel_size": 3, "stem_patch_size": 2}


@pytest.fixture
def model(randomize):
    return randomize(ConvNeXtClassifier.from_preset("convnext_atto", num_classes=5, input_shape=(16, 16, 3), **TINY))


@on_torch
@pytest.mark.parametrize("name", ["model.pt2", "model.onnx"])
def test_torch_exports_on_the_cpu_whatever_its_device_is(model, tmp_path, name):
    with keras.device("meta"):  # on which nothing has values
        assert export(model, tmp_path / name).difference < 1e-5


@on_torch
def test_a_model_on_another_device_is_copied_to_the_cpu(model, tmp_path, monkeypatch):
    monkeypatch.setattr(_programs(), "runs_exactly", lambda model: False)
    assert export(model, tmp_path / "model.pt2").difference < 1e-5

    class Mine(keras.layers.Layer):
        def call(self, inputs):
            return inputs + 1

    with pytest.raises(ValueError, match=r"from a GPU needs: Could not locate class 'Mine'. Register the classes"):
        export(keras.Model(model.input, Mine()(model.output)), tmp_path / "mine.pt2")
    model.quantize("int8")
    with pytest.raises(ValueError, match="KERAS_TORCH_DEVICE=cpu"):
        export(model, tmp_path / "quantized.pt2")


@on_tensorflow
@pytest.mark.parametrize("enabled", [True, False])
def test_tensorflow_multiplies_exactly_during_the_check(model, tmp_path, monkeypatch, enabled):
    import tensorflow as tf

    config, seen = tf.config.experimental, []
    config.enable_tensor_float_32_execution(enabled)
    try:
        check = "keras_convnext.export.write_and_check.check_file"
        monkeypatch.setattr(check, lambda *_: seen.append(config.tensor_float_32_execution_enabled()) or 0.0)
        export(model, tmp_path / "model")
        assert seen == [False]
        assert config.tensor_float_32_execution_enabled() is enabled
    finally:
        config.enable_tensor_float_32_execution(True)
