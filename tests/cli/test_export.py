"""`keras-convnext export`: from a run, a file or a preset to a checked file."""

import json
import os
import signal
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.cli.arguments import INTERRUPTED
from keras_convnext.cli.calibration import calibration_images
from keras_convnext.cli.source import find_source
from keras_convnext.export import export_model, read_metadata
from keras_convnext.segmentation import UPerNet

BACKEND = keras.backend.backend()
NATIVE = ".pt2" if BACKEND == "torch" else ""
"""The ending of the format that is written fastest. JAX writes none itself."""

TINY = {"depths": (1, 1), "dims": (8, 16), "kernel_size": 3, "stem_patch_size": 2}

native = pytest.mark.skipif(BACKEND == "jax", reason="JAX writes no format itself")


@pytest.fixture
def classifier(tmp_path):
    model = ConvNeXtClassifier(ConvNeXtBackbone(**TINY), 3)
    model.save(tmp_path / "classifier.keras")
    return str(tmp_path / "classifier.keras")


@native
def test_train_and_export_are_two_commands(cli, trained, tmp_path):
    result = cli("export", trained.path, str(tmp_path / f"digits{NATIVE}"))
    assert result.code == 0, result.err
    assert "float32" in result.out and "It differs from the Keras model by" in result.out
    metadata = read_metadata(tmp_path / f"digits{NATIVE}")
    assert metadata["class_names"] == [str(digit) for digit in range(10)]
    assert metadata["preprocessing"]["height"] == 8 and metadata["input"]["shape"] == [None, 8, 8, 1]


@native
def test_options(cli, classifier, tmp_path):
    target = str(tmp_path / f"model{NATIVE}")
    result = cli(
        "export", classifier, target, "--batch", "2", "--size", "24x16", "--softmax", "--dtype", "float16", "--json"
    )
    assert result.code == 0, result.err
    facts = json.loads(result.out)
    assert facts["dtype"] == "float16" and facts["backend"] == BACKEND and facts["difference"] < 1e-2
    metadata = read_metadata(target)
    assert metadata["input"]["shape"] == [2, 24, 16, 3] and metadata["outputs"] == ["probabilities"]
    assert (metadata["preprocessing"]["height"], metadata["preprocessing"]["width"]) == (24, 16)


@native
@pytest.mark.parametrize("kind", ["backbone", "features", "upernet", "channels first"])
def test_models_of_other_kinds(kind, cli, tmp_path):
    model = {
        "backbone": lambda: ConvNeXtBackbone(**TINY),
        "features": lambda: ConvNeXtClassifier(ConvNeXtBackbone(**TINY), 0),
        "upernet": lambda: UPerNet(ConvNeXtBackbone(**TINY, level_norm=True), 3, 8, 4),
        "channels first": lambda: ConvNeXtClassifier(ConvNeXtBackbone(**TINY, data_format="channels_first"), 3),
    }[kind]()
    model.save(tmp_path / "model.keras")
    result = cli(
        "export", str(tmp_path / "model.keras"), str(tmp_path / f"out{NATIVE}"), "--size", "32", "--batch", "1"
    )
    assert result.code == 0, result.err
    metadata = read_metadata(tmp_path / f"out{NATIVE}")
    expected = [1, 3, 32, 32] if kind == "channels first" else [1, 32, 32, 3]
    assert metadata["input"]["shape"] == expected


@native
@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_an_export_that_is_ended_leaves_nothing(how, cli, classifier, tmp_path, monkeypatch):
    def end(*_):
        if how == "Ctrl-C":
            raise KeyboardInterrupt
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(export_model, "write_and_check", end)
    assert cli("export", classifier, str(tmp_path / f"model{NATIVE}")).code == INTERRUPTED
    assert [path.name for path in tmp_path.iterdir()] == ["classifier.keras"]
    assert signal.getsignal(signal.SIGTERM) is before


REFUSED = {
    "model.foo": "the ending does not name a format",
    "model.onnx --preprocess --size free": "--size free: with --preprocess",
    "model.tflite --format onnx": "--format onnx needs a name that ends in .onnx",
}
MISUNDERSTOOD = {
    "--size 0": "expected a whole number from 1 up",
    "--size big": "expected a number of pixels or HEIGHTxWIDTH, got 'big'; or give `free`",
    "--dtype int4": "invalid choice: 'int4'",
}


@pytest.mark.parametrize("words", REFUSED)
def test_bad_input_is_refused_in_one_line(words, refusal, classifier, tmp_path):
    name, *options = words.split()
    assert REFUSED[words] in refusal("export", classifier, tmp_path / name, *options)
    assert [path.name for path in tmp_path.iterdir()] == ["classifier.keras"]


@pytest.mark.parametrize("words", MISUNDERSTOOD)
def test_options_that_are_not_understood(words, cli, capsys):
    with pytest.raises(SystemExit):
        cli("export", "classifier.keras", "model.onnx", *words.split())
    assert MISUNDERSTOOD[words] in capsys.readouterr().err


@pytest.mark.once
def test_int8_of_a_run(cli, trained, tmp_path):
    result = cli("export", trained.path, tmp_path / "digits.onnx", "--quantize", "int8", "--json")
    assert result.code == 0, result.err
    facts = json.loads(result.out)
    assert facts["dtype"] == "int8" and facts["int8"]["images"] == 80 and facts["int8"]["agreement"] >= 0.95
    assert [one["mode"] for one in facts["weight_only"]] == ["int8", "int4", "float8"]
    assert read_metadata(tmp_path / "digits.onnx")["dtype"] == "int8"


def test_calibration_images(trained, write_digits, tmp_path):
    folder = write_digits(tmp_path / "pictures")
    source = find_source(trained.path)
    for data, count, has_labels in ((None, 80, True), ("digits", 500, True), (folder / "zero", 4, False)):
        args = SimpleNamespace(calibrate=data and str(data), skip_unreadable=False, json=True)
        images, labels = calibration_images(source, source.transform, args)
        assert images.shape == (count, 8, 8, 1) and images.dtype == "float32" and 10 < images.max() <= 255
        assert (labels is not None) == has_labels
        if has_labels:
            assert len(labels) == count and len(np.unique(labels)) == 10


def test_int8_needs_data(refusal, classifier, tmp_path):
    assert "needs --calibrate" in refusal("export", classifier, tmp_path / "a.onnx", "--quantize", "int8")
    assert "--quantize int8 only" in refusal("export", classifier, tmp_path / "a.onnx", "--calibrate", "digits")
    line = refusal("export", classifier, tmp_path / "a.onnx", "--quantize", "int8", "--calibrate", "digits")
    assert "images of 1 channels; the model takes 3" in line
