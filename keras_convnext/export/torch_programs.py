"""Exporting from PyTorch: one program by `torch.export`, as it is, as ONNX, or as OpenVINO's."""

import json
from contextlib import AbstractContextManager

import keras
import torch

from keras_convnext import kernels
from keras_convnext.export import onnx_files, openvino_files
from keras_convnext.export.deployed import INPUT
from keras_convnext.export.formats import ONNX_OPSET
from keras_convnext.export.metadata import KEY
from keras_convnext.export.quiet import quiet
from keras_convnext.extras import require

MOST_BYTES = 2**31
"""The largest size of a file, and so of a weight."""


def write_onnx(model: keras.Model, path: str, metadata: dict) -> None:
    """Writes an ONNX file."""
    program, example = _traced(model, "onnxruntime")
    with quiet():
        onnx_program = torch.onnx.export(
            program,
            (example,),
            dynamo=True,
            input_names=[INPUT],
            output_names=sorted(model.output),
            opset_version=ONNX_OPSET,
            external_data=False,
            verbose=False,
        )
        _shrink(onnx_program.model)
    onnx_files.save(onnx_program.model, path, metadata)  # torch's own `save` splits large files


def write_openvino(model: keras.Model, path: str, metadata: dict, float16_weights: bool = False) -> None:
    """Writes an `.xml` file and the `.bin` file of its weights."""
    program, _ = _traced(model, "openvino")
    with quiet():
        converted = require("openvino", extra="export").convert_model(program)
        # The converter leaves all sizes open, and with open sizes OpenVINO fuses no elementwise operations.
        converted.reshape([-1 if size is None else size for size in model.inputs[0].shape])
        openvino_files.save(converted, path, sorted(model.output), metadata, float16_weights)


def write_torch(model: keras.Model, path: str, metadata: dict) -> None:
    """Writes a `.pt2` file for `torch.export.load`."""
    program, _ = _traced(model)
    with quiet():
        torch.export.save(program, path, extra_files={KEY: json.dumps(metadata)})


def _shrink(model):
    """Computes casts and transpositions of weights once, and stores once what several layers share, as in detectors."""
    import onnx_ir.passes.common
    import onnxscript.optimizer

    onnxscript.optimizer.fold_constants(model, input_size_limit=MOST_BYTES, output_size_limit=MOST_BYTES)
    for one in (
        onnx_ir.passes.common.RemoveUnusedNodesPass(),
        onnx_ir.passes.common.DeduplicateInitializersPass(MOST_BYTES),
    ):
        one(model)


def exactly() -> AbstractContextManager:
    """A context on the CPU. GPUs convolve less exactly, and a program would have its device written into it."""
    return keras.device("cpu")


def runs_exactly(model: keras.Model) -> bool:
    """Whether a model's weights are on the CPU."""
    return all(weight.value.device.type == "cpu" for weight in model.weights)


WRITERS = {"onnx": write_onnx, "openvino": write_openvino, "torch": write_torch}

FAILURES = ()
"""What the converters raise besides Python's own types of errors."""


class _Forward(torch.nn.Module):
    """A Keras model as a module with one input, which returns a tensor or, for several outputs, a dict."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, image):
        outputs = self.model(image, training=False)
        if len(outputs) == 1:
            return next(iter(outputs.values()))
        return {name: outputs[name] for name in sorted(outputs)}


def _traced(model, runtime=None):
    """The program of a deployed model, and the example that it was traced with. Unknown sizes stay free."""
    shape = model.inputs[0].shape
    free = {axis: torch.export.Dim.DYNAMIC for axis, size in enumerate(shape) if size is None}
    # Sizes of 0 and 1 would become constants. Sides differ, so that no two become one symbol.
    sizes = [size or (2 if axis == 0 else 96 + 32 * axis) for axis, size in enumerate(shape)]
    example = torch.zeros(sizes, dtype=getattr(torch, keras.backend.standardize_dtype(model.inputs[0].dtype)))
    with quiet(), torch.no_grad(), kernels.exporting(runtime):
        program = torch.export.export(
            _Forward(model).eval(), (example,), dynamic_shapes={INPUT: free} if free else None, strict=False
        )
    return program, example
