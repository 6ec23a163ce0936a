"""The operators of exported models, counted: the export form of the kernels is what runtimes recognize and fuse.

`golden/operators.json` has the counts by format, backend and variant. After a change that is meant, write it anew with
`UPDATE_OPERATORS=1 python -m pytest tests/export/test_operators.py` on each backend.
"""

import collections
import importlib
import json
import os
import re
from pathlib import Path

import keras
import pytest

from keras_convnext import ConvNeXtClassifier, kernels
from keras_convnext.export.deployed import deployed_model, prepared_model

GOLDEN = Path(__file__).with_name("golden") / "operators.json"
VARIANTS = ("convnext_atto", "convnextv2_atto")
BLOCKS, STAGES = 12, 4


def write(format, model, path):
    """Writes a file without checking it: test_matrix.py does."""
    programs = importlib.import_module(f"keras_convnext.export.{keras.backend.backend()}_programs")
    programs.WRITERS[format](deployed_model(prepared_model(model)), str(path), {"input": {"layout": "NHWC"}})


def of_onnx(model, folder):
    import onnx

    write("onnx", model, folder / "model.onnx")
    return collections.Counter(node.op_type for node in onnx.load(folder / "model.onnx").graph.node)


def of_litert(model, folder):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    write("litert", model, folder / "model.tflite")
    without_delegates = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(str(folder / "model.tflite"), experimental_op_resolver_type=without_delegates)
    return collections.Counter(operator["op_name"] for operator in interpreter._get_ops_details())


def of_openvino(model, folder):
    import openvino

    write("openvino", model, folder / "model.xml")
    operators = openvino.Core().read_model(folder / "model.xml").get_ops()
    return collections.Counter(operator.get_type_name() for operator in operators)


def of_stablehlo(model, folder):
    """What JAX traces in the export form. No format is written from JAX, but a user may export with `jax.export`."""
    import jax

    deployed = deployed_model(prepared_model(model))
    weights = [[v.value for v in group] for group in (deployed.trainable_variables, deployed.non_trainable_variables)]

    def call(image):
        return deployed.stateless_call(*weights, image)[0]

    with kernels.exporting():
        program = jax.export.export(jax.jit(call))(jax.ShapeDtypeStruct((2, 32, 32, 3), "float32"))
    return collections.Counter(re.findall(r"stablehlo\.(\w+)", program.mlir_module()))


COUNTED = {
    "torch": {"onnx": of_onnx, "openvino": of_openvino},
    "tensorflow": {"onnx": of_onnx, "openvino": of_openvino, "litert": of_litert},
    "jax": {"stablehlo": of_stablehlo},
}[keras.backend.backend()]
CONVOLUTIONS = {
    "onnx": ("Conv",),
    "openvino": ("Convolution", "GroupConvolution"),
    "litert": ("CONV_2D", "DEPTHWISE_CONV_2D"),
    "stablehlo": ("convolution",),
}
PRODUCTS = {
    "onnx": ("MatMul", "Gemm"),
    "openvino": ("MatMul",),
    "litert": ("FULLY_CONNECTED", "BATCH_MATMUL"),
    "stablehlo": ("dot_general",),
}


SLOW = [("torch", "openvino"), ("tensorflow", "openvino")]
CELLS = [
    pytest.param(format, marks=pytest.mark.slow if (keras.backend.backend(), format) in SLOW else ())
    for format in COUNTED
]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("format", CELLS)
def test_operators_of_an_exported_model(format, variant, backend, tmp_path, randomize):
    # Converters leave out products with 1 and sums with 0.
    model = randomize(ConvNeXtClassifier.from_preset(variant, num_classes=10, input_shape=(32, 32, 3)))
    counts = dict(sorted(COUNTED[format](model, tmp_path).items()))
    golden = json.loads(GOLDEN.read_text())
    if os.environ.get("UPDATE_OPERATORS"):
        golden.setdefault(format, {}).setdefault(backend, {})[variant] = counts
        GOLDEN.write_text(json.dumps(golden, indent=2, sort_keys=True) + "\n")
    assert counts == golden[format][backend][variant]
    # Once per depthwise convolution and patch embedding, and once per linear layer, in one of two forms.
    convolutions = sum(counts.get(name, 0) for name in CONVOLUTIONS[format])
    products = sum(counts.get(name, 0) for name in PRODUCTS[format])
    assert convolutions + products == BLOCKS + STAGES + 2 * BLOCKS + 1
