"""Exporting from TensorFlow: one function, frozen for ONNX, and as it is for LiteRT, OpenVINO and SavedModel."""

import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from keras_convnext import kernels
from keras_convnext.export import onnx_files, openvino_files
from keras_convnext.export.deployed import INPUT
from keras_convnext.export.metadata import FILE
from keras_convnext.export.quiet import quiet
from keras_convnext.extras import require

OPSET = 18
"""The newest version of ONNX's operators that tf2onnx writes. `onnx_fusions` converts them to a newer one."""

MOVES_TRANSPOSITIONS = "optimize_transpose"
"""tf2onnx's optimizer that is left out. It moves transpositions into layer norms, which ONNX Runtime then does not
recognize, and takes a wrong shape for maps of 1 x 1. ONNX Runtime optimizes transpositions by itself."""


def write_onnx(model: keras.Model, path: str, metadata: dict) -> None:
    """Writes an ONNX file."""
    onnx_ir = require("onnx_ir", extra="export")
    from keras_convnext.export.onnx_fusions import fuse

    with quiet():
        converted = onnx_ir.from_proto(_converted(_traced(model, "onnxruntime"), sorted(model.output)))
        fuse(converted)
    onnx_files.save(converted, path, metadata)


def _converted(function, names):
    """What tf2onnx makes of a concrete function, whose outputs have these names."""
    loader, conversion, optimizer = (
        require(f"tf2onnx.{module}", extra="export") for module in ("tf_loader", "tfonnx", "optimizer")
    )
    frozen = convert_variables_to_constants_v2(function)
    # Small constants, such as the mean of a Normalization, are among a frozen function's inputs.
    inputs = [tensor.name for tensor in frozen.inputs if tensor.op.type == "Placeholder"]
    outputs = [tensor.name for tensor in frozen.outputs]
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(loader.tf_optimize(inputs, outputs, frozen.graph.as_graph_def()), name="")
        converted = conversion.process_tf_graph(
            graph,
            opset=OPSET,
            input_names=inputs,
            output_names=outputs,
            tensors_to_rename={f"{INPUT}:0": INPUT, **dict(zip(outputs, names, strict=True))},
        )
    optimizers = {name: one for name, one in optimizer._get_optimizers().items() if name != MOVES_TRANSPOSITIONS}
    return optimizer.optimize_graph(converted, optimizers=optimizers).make_model(INPUT)


def write_openvino(model: keras.Model, path: str, metadata: dict, float16_weights: bool = False) -> None:
    """Writes an `.xml` file and the `.bin` file of its weights."""
    with quiet():
        converted = require("openvino", extra="export").convert_model(_traced(model, "openvino"))
    openvino_files.save(converted, path, sorted(model.output), metadata, float16_weights)


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
        with quiet():
            Path(path).write_bytes(converter.convert())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(FILE, json.dumps(metadata))


def write_saved_model(model: keras.Model, path: str, metadata: dict) -> None:
    """Writes a SavedModel with the endpoint `serve`, and its metadata beside.

    TensorFlow itself runs it, so the kernels are TensorFlow's fastest on this device, and not the export form.
    """
    with quiet():
        model.export(path, format="tf_saved_model", verbose=False)
    place = Path(path, "assets.extra", FILE)
    place.parent.mkdir()
    place.write_text(json.dumps(metadata))


@contextmanager
def exactly() -> Iterator[None]:
    """A context in which GPUs multiply float32 as it is, and not rounded to TF32."""
    enabled = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(enabled)


def runs_exactly(model: keras.Model) -> bool:
    """Whether a model need not be copied to another device, which TensorFlow never needs."""
    return True


WRITERS = {
    "onnx": write_onnx,
    "openvino": write_openvino,
    "litert": write_litert,
    "tf_saved_model": write_saved_model,
}

FAILURES = (tf.errors.OpError, ConverterError)
"""What the converters raise besides Python's own types of errors."""


def _traced(model, runtime):
    """The concrete function of a deployed model. Its outputs are sorted by name."""
    (image,) = model.inputs
    signature = [tf.TensorSpec(image.shape, image.dtype, name=INPUT)]
    with kernels.exporting(runtime):
        return tf.function(lambda image: model(image, training=False), signature).get_concrete_function()
