"""`export(..., quantize="int8")`: the float file is written and checked in a temporary folder, and then quantized."""

import shutil
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_convnext.checkpoints.float_weights import has_lora, is_quantized, layers_that
from keras_convnext.export.deployed import described_input, named_outputs
from keras_convnext.export.files import files_of
from keras_convnext.export.int8.calibration import checked_images
from keras_convnext.export.int8.measure import checked_labels
from keras_convnext.export.int8.quantization import check_is_quantizable, quantize
from keras_convnext.export.int8.quantizers import find_quantizer
from keras_convnext.models.image_input import is_channels_first
from keras_convnext.new_paths import check_new_path

Calibration = np.ndarray | tuple[np.ndarray, np.ndarray | None]
"""Calibration images, or a tuple of images and labels."""


def prepare_int8(
    prepare_float: Callable[..., Callable[[], Any]],
    model: keras.Model,
    path: str | Path,
    format: str | None,
    quantize_to: str,
    calibration: Calibration | None,
    options: dict[str, Any],
) -> Callable[[], Any]:
    """Checks what an int8 export is given, and returns the work as a function without arguments.

    The work writes the float32 file to a temporary folder, and the int8 file from there.

    Args:
        prepare_float: as `prepare_export`, for the float file.
        model: a classifier or UPerNet.
        path: as for `export`.
        format: as for `export`.
        quantize_to: the argument `quantize` of `export`.
        calibration: the argument `calibration` of `export`.
        options: the other arguments of `export`.

    Returns:
        The work. It returns what `export` returns for the float file, with the path, dtype and size of the int8 file,
        and its report as `int8`.

    Raises:
        ValueError: the model, the options or the images do not allow int8. This is checked before any work.
        ExportError: as for `export` and `int8.quantize`.
    """
    if quantize_to != "int8":
        raise ValueError(f"`quantize` must be 'int8'. Received: quantize={quantize_to!r}")
    found, _ = find_quantizer(path, format)
    for file in files_of(Path(path), found.name):
        check_new_path(file)
    if calibration is None:
        raise ValueError(
            "`quantize='int8'` needs `calibration`: images of shape (images, height, width, channels), or a tuple of "
            "images and labels. 100 to 500 images of the training data are enough."
        )
    if isinstance(calibration, (tuple, list)) and len(calibration) != 2:
        raise ValueError(
            "`calibration` must be images, or a tuple of images and labels. Received: "
            f"{len(calibration)} values in a {type(calibration).__name__}"
        )
    images, labels = calibration if isinstance(calibration, (tuple, list)) else (calibration, None)
    if changed := layers_that(is_quantized, model) or layers_that(has_lora, model):
        raise ValueError(
            f"`quantize='int8'` needs float32 weights. Received: a model with quantized layers or LoRA ({changed[0]}, "
            "...). Quantize the float model."
        )
    expected = _expected_metadata(model, options)
    check_is_quantizable(expected, path)
    labels = checked_labels(labels, checked_images(images, expected), expected)
    per_pixel = len(model.output.shape) == 4
    if labels is not None and (labels.ndim == 3) != per_pixel:
        raise ValueError(
            f"Expected one label per {'pixel' if per_pixel else 'image'}. Received: labels of shape {labels.shape}"
        )
    folder = Path(tempfile.gettempdir(), f"keras_convnext-{uuid.uuid4().hex}")
    float_path = folder / f"float{found.suffix}"
    write_float = prepare_float(model, float_path, found.name, **options)

    def write():
        start = time.perf_counter()
        folder.mkdir()
        try:
            exported = write_float()
            report = quantize(float_path, path, images, labels)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        seconds = time.perf_counter() - start
        return replace(exported, path=str(path), dtype="int8", size=report.int8_size, seconds=seconds, int8=report)

    return write


def _expected_metadata(model, options):
    """What the metadata of the float file will say about its input, outputs and precision."""
    shape = list(model.inputs[0].shape)
    shape[0] = options.get("batch_size")
    if size := options.get("image_size"):
        sides = slice(2, 4) if is_channels_first(model) else slice(1, 3)
        shape[sides] = size if isinstance(size, (tuple, list)) else (size, size)
    return {
        "dtype": options.get("dtype", "float32"),
        "in_graph": bool(options.get("preprocess")),
        "outputs": list(named_outputs(model, model.output)),
        "input": described_input(model, shape),
    }
