"""OpenVINO in int8, by NNCF's `quantize`."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from keras_convnext.export.int8.layers import without_first_and_last
from keras_convnext.export.openvino_files import save
from keras_convnext.extras import require

LAYERS = ("Convolution", "MatMul")
"""The operations that are quantized. Depthwise convolutions are `GroupConvolution`."""


def quantize_openvino(source: Path, target: Path, batches: Iterable[np.ndarray], metadata: dict[str, Any]) -> None:
    """Writes an int8 OpenVINO file, with `FakeQuantize` operations, which the runtime replaces by integer operations.

    Weights are symmetric with a scale per channel, and of 7 bits, see `QUANTIZERS`. Activations are asymmetric (the
    preset "mixed"), which lowers the error of V2's logits by a third: outputs of GELU are skewed. Biases are corrected
    by the fast algorithm. The exact one fails with NNCF 3.4 on layers without a measured bias, and gave no better
    logits where it ran.

    Args:
        source: path of the float32 `.xml` file.
        target: path of the `.xml` file to write; its weights go into a `.bin` file beside.
        batches: calibration images as the file takes them.
        metadata: what is stored in the file.
    """
    openvino, nncf = (require(package, extra="export") for package in ("openvino", "nncf"))
    model = openvino.Core().read_model(str(source))
    operations = [node for node in model.get_ordered_ops() if node.get_type_name() in LAYERS]
    layers = [node.get_friendly_name() for node in operations if _has_weights(node)]
    chosen = without_first_and_last(layers)
    others = {node.get_type_name() for node in model.get_ops()} - {*LAYERS, "Parameter", "Result", "Constant"}
    ignored = {node.get_friendly_name() for node in operations} - set(chosen)
    batches = list(batches)
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        quantized = nncf.quantize(
            model,
            nncf.Dataset(batches),
            subset_size=len(batches),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=sorted(ignored), types=sorted(others), validate=False),
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
        )
    finally:
        logger.setLevel(level)
    save(quantized, str(target), metadata["outputs"], metadata, float16_weights=False)


def _has_weights(node):
    """Whether the second factor is a constant, possibly behind a conversion or a transposition."""
    source = node.input_value(1).get_node()
    while source.get_type_name() in ("Convert", "Transpose", "Reshape"):
        source = source.input_value(0).get_node()
    return source.get_type_name() == "Constant"
