"""Exporting from TensorFlow: one function, frozen for ONNX, and as it is for LiteRT, OpenVINO and SavedModel."""

import json
import tempfile
import zipfile
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from keras_convnext import kernels
from keras_convnext.export.deployed import INPUT
from keras_convnext.export.metadata import FILE, KEY
from keras_convnext.export.openvino_files import save
from keras_convnext.export.quiet import quiet
from keras_convnext.extras import require

OPSET = 18
"""The newest version of ONNX's operators that tf2onnx writes."""


def write_onnx(model: keras.Model, path: str, metadata: dict) -> None:
    """Writes an ONNX file."""
    onnx, tf2onnx = (require(package, extra="export") for package in ("onnx", "tf2onnx.convert"))
    with quiet():
        frozen = convert_variables_to_constants_v2(_traced(model))
        names = dict(zip([tensor.name for tensor in frozen.outputs], sorted(model.output), strict=True))
        written, _ = tf2onnx.from_graph_def(
            frozen.graph.as_graph_def(),
            # Small constants, such as the mean of a Normalization, are among a frozen function's inputs.
            input_names=[tensor.name for tensor in frozen.inputs if tensor.op.type == "Placeholder"],
            output_names=list(names),
            tensors_to_rename={f"{INPUT}:0": INPUT, **names},
            opset=OPSET,
        )
    onnx.helper.set_model_props(written, {KEY: json.dumps(metadata)})
    onnx.save(written, path)


def write_openvino(model: keras.Model, path: str, metadata: dict, float16_weights: bool = False) -> None:
    """Writes an `.xml` file and the `.bin` file of its weights."""
    converted = require("openvino", extra="export").convert_model(_traced(model))
    save(converted, path, sorted(model.output), metadata, float16_weights)


def write_litert(model: keras.Model, path: str, metadata: dict, float16_weights: bool = False) -> None:
    """Writes a `.tflite` file. Its metadata is an associated file, which `unzip` extracts."""
    with tempfile.TemporaryDirectory() as folder:
        with kernels.exporting():
            write_saved_model(model, folder, metadata)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
        converter.experimental_enable_resource_variables = False
        if float16_weights:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        Path(path).write_bytes(converter.convert())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(FILE, json.dumps(metadata))


def write_saved_model(model: keras.Model, path: str, metadata: dict) -> None:
    """Writes a SavedModel with the endpoint `serve`, and its metadata beside.

    TensorFlow itself runs it, so the kernels are TensorFlow's fastest on this device, and not the export form.
    """
    model.export(path, format="tf_saved_model", verbose=False)
    place = Path(path, "assets.extra", FILE)
    place.parent.mkdir()
    place.write_text(json.dumps(metadata))


WRITERS = {
    "onnx": write_onnx,
    "openvino": write_openvino,
    "litert": write_litert,
    "tf_saved_model": write_saved_model,
}

FAILURES = (tf.errors.OpError, ConverterError)
"""What the converters raise besides Python's own types of errors."""


def _traced(model):
    """The concrete function of a deployed model. Its outputs are sorted by name."""
    (image,) = model.inputs
    signature = [tf.TensorSpec(image.shape, image.dtype, name=INPUT)]
    with kernels.exporting():
        return tf.function(lambda image: model(image, training=False), signature).get_concrete_function()
