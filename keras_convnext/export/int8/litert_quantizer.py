"""LiteRT in int8, by the AI Edge Quantizer."""

import json
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from keras_convnext.export.deployed import INPUT
from keras_convnext.export.int8.layers import without_first_and_last
from keras_convnext.export.metadata import FILE
from keras_convnext.extras import require

LAYERS = ("CONV_2D", "FULLY_CONNECTED")
"""The operations that are quantized. Depthwise convolutions are `DEPTHWISE_CONV_2D`."""


def quantize_litert(source: Path, target: Path, batches: Iterable[np.ndarray], metadata: dict[str, Any]) -> None:
    """Writes an int8 LiteRT file: static ranges, weights per channel, asymmetric activations per tensor.

    Activations of 16 bits would halve the error of the logits, but the runtime then takes 1.6 to 8 times as long as in
    float. Weights by the smallest squared error ("MSE") instead of the largest value gave no better logits.

    Args:
        source: path of the float32 file.
        target: where to write.
        batches: calibration images as the file takes them.
        metadata: what is stored in the file.
    """
    quantizer, qtyping, flatbuffers, schema, litert = (
        require(module, extra="export")
        for module in (
            "ai_edge_quantizer.quantizer",
            "ai_edge_quantizer.qtyping",
            "ai_edge_quantizer.utils.tfl_flatbuffer_utils",
            "ai_edge_litert.schema_py_generated",
            "ai_edge_litert.interpreter",
        )
    )
    model = flatbuffers.read_model(str(source))
    (graph,) = model.subgraphs
    kinds = {getattr(schema.BuiltinOperator, kind): kind for kind in LAYERS}
    layers = []
    for operation in graph.operators:
        kind = kinds.get(model.operatorCodes[operation.opcodeIndex].builtinCode)
        if kind and model.buffers[graph.tensors[operation.inputs[1]].buffer].data is not None:
            layers.append((kind, flatbuffers.get_op_scope(operation, graph.tensors)))
    chosen = without_first_and_last(layers)
    work = quantizer.Quantizer(str(source))
    for kind, scope in chosen:
        work.add_static_config(f"^{re.escape(scope)}$", qtyping.TFLOperationName(kind), 8, 8)
    (signature,) = litert.Interpreter(str(source)).get_signature_list()
    ranges = work.calibrate({signature: [{INPUT: batch} for batch in batches]})
    Path(target).write_bytes(work.quantize(ranges).quantized_model)
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr(FILE, json.dumps(metadata))
