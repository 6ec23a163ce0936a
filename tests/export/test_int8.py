"""Exported files in int8: as accurate as in float, smaller, whole, or not written at all."""

import dataclasses
import importlib

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.export import ExportError, export, read_metadata
from keras_convnext.export.formats import find_format
from keras_convnext.export.int8 import QUANTIZERS, compare, quantize
from keras_convnext.export.runtimes import RUNTIMES

BACKEND = keras.backend.backend()
WRITTEN = {"torch": [".onnx", ".xml"], "tensorflow": [".tflite", ".xml", ".onnx"], "jax": []}[BACKEND]
FIRST = {"torch": [".onnx"], "tensorflow": [".tflite"], "jax": []}[BACKEND]
"""The formats that this backend writes, and one of them where one is enough."""


@pytest.mark.parametrize("suffix", WRITTEN)
def test_an_int8_file_keeps_accuracy_and_metadata(float_files, calibration, test_digits, tmp_path, suffix):
    path = tmp_path / f"int8{suffix}"
    report = quantize(float_files[suffix], path, *calibration)
    assert report.agreement >= 0.98
    assert report.images == len(calibration[0])
    assert report.path == str(path)
    assert report.int8_size < report.float_size
    tested = compare(float_files[suffix], path, *test_digits)
    assert tested.float_accuracy > 0.8
    assert abs(tested.accuracy_lost) <= 0.01
    assert read_metadata(path) == {**read_metadata(float_files[suffix]), "dtype": "int8"}
    assert {file.name for file in tmp_path.iterdir()} == {path.name} | ({"int8.bin"} if suffix == ".xml" else set())


@pytest.mark.parametrize("suffix", WRITTEN)
def test_the_first_and_last_layers_depthwise_convolutions_and_norms_stay_in_float(
    float_files, calibration, tmp_path, suffix
):
    path = tmp_path / f"int8{suffix}"
    quantize(float_files[suffix], path, calibration[0])
    integer, others = {".onnx": onnx_layers, ".xml": openvino_layers, ".tflite": litert_layers}[suffix](path)
    assert len(integer) == 5, "two per block, and the downsampling layer"
    assert len(others) == 4, "the stem, two depthwise convolutions and the head"


def onnx_layers(path):
    graph = importlib.import_module("onnx").load(path).graph
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    layers = {node.name: node for node in graph.node if node.op_type in ("Conv", "MatMul", "Gemm")}
    integer = [
        name for name, node in layers.items() if {made_by.get(name) for name in node.input[:2]} == {"DequantizeLinear"}
    ]
    return integer, [name for name in layers if name not in integer]


def openvino_layers(path):
    model = importlib.import_module("openvino").Core().read_model(str(path))
    layers = [node for node in model.get_ops() if node.get_type_name() in ("Convolution", "GroupConvolution", "MatMul")]
    integer = [node for node in layers if node.input_value(0).get_node().get_type_name() == "FakeQuantize"]
    return integer, [node for node in layers if node not in integer]


def litert_layers(path):
    flatbuffers = importlib.import_module("ai_edge_quantizer.utils.tfl_flatbuffer_utils")
    from ai_edge_litert.schema_py_generated import BuiltinOperator, TensorType

    model = flatbuffers.read_model(str(path))
    kinds = (BuiltinOperator.CONV_2D, BuiltinOperator.DEPTHWISE_CONV_2D, BuiltinOperator.FULLY_CONNECTED)
    (graph,) = model.subgraphs
    layers = [op for op in graph.operators if model.operatorCodes[op.opcodeIndex].builtinCode in kinds]
    is_integer = [graph.tensors[op.inputs[0]].type == TensorType.INT8 for op in layers]
    return (
        [op for op, yes in zip(layers, is_integer, strict=True) if yes],
        [op for op, yes in zip(layers, is_integer, strict=True) if not yes],
    )


@pytest.mark.parametrize("suffix", [suffix for suffix in WRITTEN if suffix != ".tflite"])
def test_weights_of_7_bits_do_not_saturate(float_files, calibration, tmp_path, suffix):
    path = tmp_path / f"int8{suffix}"
    quantize(float_files[suffix], path, calibration[0])
    weights = {".onnx": onnx_weights, ".xml": openvino_weights}[suffix](path)
    assert len(weights) == 5
    for values in weights:
        assert 60 <= np.abs(values.astype(int)).max() <= 64


def onnx_weights(path):
    onnx = importlib.import_module("onnx")
    arrays = [onnx.numpy_helper.to_array(weight) for weight in onnx.load(path).graph.initializer]
    return [array for array in arrays if array.dtype == np.int8 and array.ndim >= 2]


def openvino_weights(path):
    model = importlib.import_module("openvino").Core().read_model(str(path))
    constants = [node.data for node in model.get_ops() if node.get_type_name() == "Constant"]
    return [array for array in constants if array.dtype == np.int8 and array.ndim >= 2 and array.size > 64]


@pytest.mark.parametrize("suffix", FIRST)
def test_a_file_that_disagrees_is_not_written(digits_model, float_files, calibration, tmp_path, monkeypatch, suffix):
    """What is written here is the int8 file of a model that learned nothing."""
    format, untrained = find_format(f"a{suffix}").name, tmp_path / f"untrained{suffix}"
    export(keras.models.clone_model(digits_model), untrained)
    honest = QUANTIZERS[format]

    def quantize_another(source, target, batches, metadata):
        return honest.quantize(untrained, target, batches, metadata)

    table = {**QUANTIZERS, format: dataclasses.replace(honest, quantize=quantize_another)}
    monkeypatch.setattr("keras_convnext.export.int8.quantizers.QUANTIZERS", table)
    with pytest.raises(ExportError, match=r"on \d+\.\d% of the calibration images; at least 95% is needed"):
        quantize(float_files[suffix], tmp_path / f"int8{suffix}", *calibration)
    assert list(tmp_path.iterdir()) == [untrained]


@pytest.mark.parametrize("suffix", FIRST)
def test_a_quantizer_that_fails_leaves_nothing(float_files, calibration, tmp_path, monkeypatch, suffix):
    def fail(*arguments):
        raise RuntimeError("no such operator\nand more")

    table = {name: dataclasses.replace(honest, quantize=fail) for name, honest in QUANTIZERS.items()}
    monkeypatch.setattr("keras_convnext.export.int8.quantizers.QUANTIZERS", table)
    with pytest.raises(ExportError, match=r"quantizer failed: no such operator and more$"):
        quantize(float_files[suffix], tmp_path / f"int8{suffix}", *calibration)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", FIRST)
def test_what_does_not_fit_is_refused_before_work(float_files, calibration, tmp_path, monkeypatch, suffix):
    (images, labels), path = calibration, tmp_path / f"int8{suffix}"
    monkeypatch.setattr("keras_convnext.export.int8.quantization._write", None)
    source = float_files[suffix]
    for changed, message in [
        ({"images": images[:, :7]}, r"\(images, 8, 8, 1\).*shape \(200, 7, 8, 1\)"),
        ({"images": images[0]}, r"shape \(8, 8, 1\)"),
        ({"images": images[:0]}, r"shape \(0, 8, 8, 1\)"),
        ({"images": images / 255}, "values in 0..255"),
        ({"images": images - 1.0}, "values in 0..255"),
        ({"images": np.where(images > 100, np.nan, images)}, "NaN or Inf"),
        ({"labels": labels[:5]}, r"shape \(200,\)"),
        ({"labels": labels.astype("float32")}, "labels as integers"),
        ({"batch_size": 0}, "batch_size"),
        ({"float_path": tmp_path / "a.pt2"}, "torch.export is not quantized to int8: PyTorch"),
        ({"float_path": tmp_path / "a"}, "SavedModel is not quantized to int8: TensorFlow"),
        ({"int8_path": tmp_path / ("a.xml" if suffix != ".xml" else "a.onnx")}, f"must end in {suffix}"),
        ({"int8_path": source}, "already exists"),
    ]:
        arguments = {"float_path": source, "int8_path": path, "images": images, "labels": labels, **changed}
        with pytest.raises(ValueError, match=message):
            quantize(**arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", FIRST)
def test_files_without_classes_and_other_files_are_refused(digits_model, calibration, tmp_path, suffix):
    images, _ = calibration
    features, half = tmp_path / f"features{suffix}", tmp_path / f"half{suffix}"
    export(digits_model.backbone, features)
    with pytest.raises(ValueError, match=r"checked by the classes.*the outputs features"):
        quantize(features, tmp_path / f"int8{suffix}", images)
    export(digits_model, half, dtype="float16")
    with pytest.raises(ValueError, match="a file in float16"):
        quantize(half, tmp_path / f"int8{suffix}", images)
    assert set(tmp_path.iterdir()) == {features, half}


@pytest.mark.parametrize("suffix", FIRST)
def test_an_int8_file_is_not_quantized_again(float_files, calibration, tmp_path, suffix):
    quantize(float_files[suffix], tmp_path / f"int8{suffix}", calibration[0])
    with pytest.raises(ValueError, match="a file in int8"):
        quantize(tmp_path / f"int8{suffix}", tmp_path / f"again{suffix}", calibration[0])


@pytest.mark.parametrize("suffix", FIRST)
def test_a_fixed_batch_and_channels_first(digits_model, calibration, tmp_path, suffix):
    """200 images are no multiple of 3: the last batch is filled up, and its copies are not counted."""
    backbone = ConvNeXtBackbone.from_config(
        {**digits_model.backbone.get_config(), "data_format": "channels_first", "input_shape": (1, 8, 8)}
    )
    model = ConvNeXtClassifier(backbone, 10)
    model.set_weights(digits_model.get_weights())
    images, labels = calibration
    exported = export(model, tmp_path / f"int8{suffix}", batch_size=3, quantize="int8", calibration=(images, labels))
    assert exported.int8.images == 200
    assert exported.int8.latency_batch == 3
    assert exported.int8.float_accuracy > 0.8
    run = RUNTIMES[exported.format](exported.path)
    (scores,) = run(np.moveaxis(images[:3], -1, 1).astype("float32")).values()
    assert scores.shape == (3, 10)
