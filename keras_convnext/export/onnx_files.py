"""Writing ONNX files from the model that a converter returns."""

import json
import re
from typing import Any

from keras_convnext.export.metadata import KEY
from keras_convnext.extras import require

AXES = {"NHWC": ("batch", "height", "width"), "NCHW": ("batch", "channels", "height", "width")}
"""The names of the axes of images, by their layout. The channels are never free."""


def save(model: Any, path: str, metadata: dict[str, Any]) -> None:
    """Names the free sizes, adds the metadata, and writes the file.

    With names, a program can fix a free size when it loads the file, such as by ONNX Runtime's
    `add_free_dimension_override_by_name("batch", 1)`.

    Args:
        model: `onnx_ir.Model`.
        path: path of the file.
        metadata: what is written as JSON.
    """
    onnx_ir = require("onnx_ir", extra="export")
    graph = model.graph
    names = {
        str(size): axis
        for size, axis in zip(graph.inputs[0].shape, AXES[metadata["input"]["layout"]], strict=False)
        if not isinstance(size, int)
    }
    for output in graph.outputs:  # in files of tf2onnx, the batch of each output has another symbol
        if not isinstance(output.shape[0], int):
            names[str(output.shape[0])] = "batch"
    for value in (*graph.inputs, *(value for node in graph for value in node.outputs)):
        if value.shape is not None:
            sizes = [size if isinstance(size, int) else _renamed(size, names) for size in value.shape]
            value.shape = onnx_ir.Shape(sizes)
    model.metadata_props[KEY] = json.dumps(metadata)
    onnx_ir.save(model, path)


def _renamed(size, names):
    """A symbol, or an expression of symbols such as `(s62//4)`, in which those that have names are replaced."""
    return size.value and re.sub(r"\w+", lambda word: names.get(word[0], word[0]), size.value)
