"""The formats that can be quantized to int8, and by which packages."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from keras_convnext.export.formats import FORMATS, Format, find_format
from keras_convnext.export.int8.litert_quantizer import quantize_litert
from keras_convnext.export.int8.onnx_quantizer import quantize_onnx
from keras_convnext.export.int8.openvino_quantizer import quantize_openvino
from keras_convnext.extras import is_installed

Quantize = Callable[[Path, Path, Iterable[np.ndarray], dict[str, Any]], None]
"""Writes an int8 file, from the path of a float file, the path to write, calibration batches and metadata."""


@dataclass(frozen=True)
class Quantizer:
    """How a format is quantized.

    Attributes:
        quantize: writes the int8 file.
        packages: the packages that this needs, besides the runtime.
        errors: the module with the types of errors that the packages raise besides Python's own, or None.
    """

    quantize: Quantize
    packages: tuple[str, ...]
    errors: str | None = None


QUANTIZERS = MappingProxyType(
    {
        "onnx": Quantizer(quantize_onnx, ("onnx",)),
        "openvino": Quantizer(quantize_openvino, ("nncf",), errors="nncf.errors"),
        "litert": Quantizer(quantize_litert, ("ai_edge_quantizer",)),
    }
)
"""The quantizers by format.

For ONNX and OpenVINO, weights have 7 bits. Processors with AVX2 but without VNNI add up pairs of products in 16 bits,
which saturate with weights of 8 bits. On such a processor, the logits of a digits classifier then differed from those
of the float file by 7.8 % (root mean square), and by 1.2 % with 7 bits. Without saturation, 8 bits have 1.1 %. LiteRT
adds up in 32 bits.
"""

REFUSED = MappingProxyType(
    {
        "torch": "PyTorch's quantizer works on a program before it is written, and its int8 programs run in "
        "ExecuTorch, not in torch.export.load",
        "tf_saved_model": "TensorFlow has no int8 operations for a SavedModel; its int8 runtime is LiteRT",
    }
)
"""Why a format is not quantized, by format."""


def find_quantizer(path: str | Path, format: str | None = None) -> tuple[Format, Quantizer]:
    """Finds the format of a path, and its quantizer.

    Args:
        path: path of an exported model.
        format: a key of `FORMATS`. Defaults to None, which is the format of the ending.

    Raises:
        ValueError: the ending names no format, or one that is not quantized.
        ModuleNotFoundError: a package that this needs is not installed.

    Example:

    >>> from keras_convnext.export.int8.quantizers import find_quantizer
    >>> find_quantizer("digits.pt2")
    Traceback (most recent call last):
        ...
    ValueError: torch.export is not quantized to int8: PyTorch's quantizer works on a program before it is written, ...
    """
    found = find_format(path, format)
    if found.name in REFUSED:
        formats = ", ".join(f"{FORMATS[name].title} ({FORMATS[name].suffix})" for name in QUANTIZERS)
        raise ValueError(f"{found.title} is not quantized to int8: {REFUSED[found.name]}. Export to {formats}.")
    quantizer = QUANTIZERS[found.name]
    missing = [package for package in (*quantizer.packages, found.runtime) if not is_installed(package)]
    if missing:
        raise ModuleNotFoundError(
            f"Quantizing {found.title} needs packages that are not installed: {', '.join(missing)}. "
            'pip install "keras-convnext[export]"'
        )
    return found, quantizer
