"""Quantizing an exported file to int8: written beside its place, compared with the float file, and then moved there."""

import contextlib
import io
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_convnext.export.check import ExportError
from keras_convnext.export.files import as_export_errors, beside, files_of
from keras_convnext.export.formats import Format
from keras_convnext.export.int8.calibration import BATCH, batches, checked_images
from keras_convnext.export.int8.measure import check_has_classes, checked_labels, measure
from keras_convnext.export.int8.quantizers import Quantizer, find_quantizer
from keras_convnext.export.int8.report import Int8Report
from keras_convnext.export.metadata import read_metadata
from keras_convnext.export.runtimes import failures
from keras_convnext.extras import require
from keras_convnext.new_paths import check_new_path
from keras_convnext.scalars import integer

LEAST_AGREEMENT = 0.95
"""The least share of the calibration images, or of their pixels, that must get the same class in int8."""


def quantize(
    float_path: str | Path,
    int8_path: str | Path,
    images: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    batch_size: int = BATCH,
    threads: int | None = None,
) -> Int8Report:
    """Quantizes an exported file to int8 after training (static quantization).

    Convolutions and linear layers of the blocks and downsampling layers compute in int8: weights with a scale per
    channel, activations with a scale per tensor, whose ranges are measured on the calibration images. The first and the
    last layer, depthwise convolutions, norms, the GRN and activations stay in float32. The int8 file takes its place
    only if it gives the class of the float file on at least 95 % of the calibration images; otherwise nothing is left.

    Args:
        float_path: a float32 file of a classifier or UPerNet, as `export` writes it: `.onnx`, `.xml` or `.tflite`.
        int8_path: where to write, with the same ending.
        images: calibration images, an array of shape `(images, height, width, channels)` in 0..255, of the size that
            the file takes. 100 to 500 images of the training data are enough.
        labels: class indices of shape `(images,)`, or label maps of shape `(images, height, width)` for segmentation,
            where 255 marks pixels that do not count. They are needed for accuracies only. Defaults to None.
        batch_size: images per calibration batch. Files of a fixed batch take their own. Defaults to 25.
        threads: number of threads of the runtime. Defaults to None, for the runtime's choice.

    Returns:
        An `Int8Report`, measured on the calibration images. `compare` measures on others.

    Raises:
        ValueError: the new path exists, the format is not quantized, the file has no classes, is not in float32 or
            resizes images itself, or the images do not fit.
        ModuleNotFoundError: a package that quantizes or runs the format is not installed.
        ExportError: the quantizer failed, or fewer than 95 % of the images get the same class.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.data import load_digits
    >>> from keras_convnext.export import export, read_metadata
    >>> from keras_convnext.export.int8 import quantize
    >>> folder = Path(tempfile.mkdtemp())
    >>> model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10, input_shape=(8, 8, 1))
    >>> exported = export(model, folder / "digits.onnx")
    >>> report = quantize(folder / "digits.onnx", folder / "digits_int8.onnx", load_digits().train.pixels[:100])
    >>> report.int8_size < report.float_size / 2
    True
    >>> read_metadata(folder / "digits_int8.onnx")["dtype"]
    'int8'
    """
    float_path, int8_path = Path(float_path), Path(int8_path)
    format, quantizer = find_quantizer(float_path)
    target_format, _ = find_quantizer(int8_path)
    if target_format is not format:
        raise ValueError(f"{int8_path} must end in {format.suffix}, as {float_path} does.")
    for file in files_of(int8_path, format.name):
        check_new_path(file)
    metadata = read_metadata(float_path)
    check_is_quantizable(metadata, float_path)
    inputs = checked_images(images, metadata)
    labels = checked_labels(labels, inputs, metadata)
    batch_size = integer("batch_size", batch_size, 1)
    written = {**metadata, "dtype": "int8"}
    with beside(int8_path, format.name) as temporary:
        _write(format, quantizer, float_path, temporary, inputs, batch_size, written)
        report = measure(float_path, temporary, inputs, labels, metadata, batch_size, threads)
        if report.agreement < LEAST_AGREEMENT:
            raise ExportError(
                f"The int8 file gives the class of the float file on {report.agreement:.1%} of the calibration images; "
                f"at least {LEAST_AGREEMENT:.0%} is needed. Nothing was written. Calibrate with more images like those "
                "that the model was trained on, or use the float file."
            )
    return replace(report, path=str(int8_path))


def check_is_quantizable(metadata: dict[str, Any], path: str | Path) -> None:
    """Raises an error if a file cannot be quantized.

    Args:
        metadata: metadata of the file.
        path: the file, for the message.

    Raises:
        ValueError: the file is not in float32, resizes images itself, or has no classes.
    """
    if metadata["dtype"] != "float32":
        raise ValueError(
            f"{path}: int8 is computed from float32 weights. Received: a file in {metadata['dtype']}. Export the model "
            "with `dtype='float32'`."
        )
    if metadata["in_graph"]:
        raise ValueError(
            f"{path}: the file resizes and crops images itself. Its resizing would be taken for a layer of the model, "
            "and rounded. Export the model without `preprocess`, and resize the images before."
        )
    check_has_classes(metadata, path)


def _write(
    format: Format,
    quantizer: Quantizer,
    source: Path,
    target: Path,
    inputs: np.ndarray,
    batch_size: int,
    metadata: dict[str, Any],
) -> None:
    """Runs the quantizer of a format, without its progress bars and warnings."""
    kinds = failures(format.name)
    if quantizer.errors:
        kinds += tuple(
            value
            for value in vars(require(quantizer.errors, extra="export")).values()
            if isinstance(value, type) and issubclass(value, Exception)
        )
    fed = [batch for batch, _ in batches(inputs, batch_size, metadata["input"]["shape"][0])]
    with (
        as_export_errors(f"{format.title}'s quantizer failed", kinds),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        quantizer.quantize(source, target, fed, metadata)
