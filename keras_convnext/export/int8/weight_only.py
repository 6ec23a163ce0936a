"""Keras's own weight-only quantization, `model.quantize(mode)`: what each mode gains and loses."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_convnext.checkpoints.float_weights import is_quantized, layers_that
from keras_convnext.export.deployed import described_input, named_outputs
from keras_convnext.export.int8.calibration import BATCH, checked_images
from keras_convnext.export.int8.measure import accuracy, check_has_classes, checked_labels, latencies
from keras_convnext.export.int8.weight_only_formats import MODES, formats_of


@dataclass(frozen=True)
class WeightOnlyReport:
    """A model quantized by `keras.Model.quantize` against the float model, on the same images.

    Attributes:
        mode: `"int8"`, `"int4"` or `"float8"`.
        images: number of images.
        float_size: size of the float model's `.keras` file in bytes, without an optimizer.
        size: size of the quantized model's `.keras` file in bytes.
        float_latency: median time of `predict_on_batch` of one image with the float model, in milliseconds.
        latency: the same with the quantized model.
        agreement: share of the images, or of the pixels, that both models give the same class, 0 to 1.
        float_accuracy: accuracy of the float model, 0 to 1; None without labels.
        accuracy: accuracy of the quantized model, 0 to 1; None without labels.
        formats: the keys of `FORMATS` that the quantized model can be exported to.
    """

    mode: str
    images: int
    float_size: int
    size: int
    float_latency: float
    latency: float
    agreement: float
    float_accuracy: float | None
    accuracy: float | None
    formats: tuple[str, ...]

    @staticmethod
    def table(reports: Sequence["WeightOnlyReport"]) -> list[str]:
        """Reports of one model as lines to print, the float model first."""
        if not reports:
            return []
        first = reports[0]
        rows = [("weights", ".keras file", "predict", "accuracy", "agreement", "exports to")]
        rows.append(
            _row("float32", first.float_size, first.float_latency, first.float_accuracy, None, ("all formats",))
        )
        rows += [
            _row(one.mode, one.size, one.latency, one.accuracy, one.agreement, one.formats or ("no format",))
            for one in reports
        ]
        widths = (9, 13, 12, 10, 11)
        return [
            row[0].ljust(widths[0])
            + "".join(cell.rjust(width) for cell, width in zip(row[1:5], widths[1:], strict=True))
            + "  "
            + row[5]
            for row in rows
        ]


def _row(name, size, latency, share, agreement, formats):
    shares = ["" if value is None else f"{value:.2%}" for value in (share, agreement)]
    return (name, f"{size / 1e6:.2f} MB", f"{latency:.2f} ms", *shares, ", ".join(formats))


def compare_weight_only(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray | None = None,
    modes: Sequence[str] = MODES,
    batch_size: int = BATCH,
) -> list[WeightOnlyReport]:
    """Quantizes copies of a model by each of Keras's modes, and compares them with the model.

    The linear layers' weights are quantized; convolutions and everything else stay in float. The model is not changed.

    Args:
        model: a `ConvNeXtClassifier` with classes.
        images: array of shape `(images, height, width, channels)` in 0..255, of the size that the model takes.
        labels: class indices of shape `(images,)`. Defaults to None.
        modes: the modes, `"int8"`, `"int4"` or `"float8"`. Defaults to all three.
        batch_size: images per batch, except for the latency. Defaults to 25.

    Returns:
        A `WeightOnlyReport` per mode. `WeightOnlyReport.table` makes lines of them.

    Raises:
        ValueError: a mode is unknown, the model has no classes or quantized weights, or the images do not fit.

    Example:

    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.data import load_digits
    >>> from keras_convnext.export.int8 import compare_weight_only
    >>> model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10, input_shape=(8, 8, 1))
    >>> (report,) = compare_weight_only(model, load_digits().test.pixels[:50], modes=["int8"])
    >>> report.size < report.float_size / 2
    True
    """
    for mode in modes:
        if mode not in MODES:
            raise ValueError(f"`modes` must be of {', '.join(MODES)}. Received: {mode!r}")
    if changed := layers_that(is_quantized, model):
        raise ValueError(f"Expected a float model. Received: a model with quantized layers ({changed[0]}, ...)")
    metadata = {
        "outputs": list(named_outputs(model, model.output)),
        "input": described_input(model, model.inputs[0].shape),
    }
    check_has_classes(metadata, model.name)
    inputs = checked_images(images, metadata)
    labels = checked_labels(labels, inputs, metadata)
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        float_path = Path(folder, "float.keras")
        model.save(float_path)
        # Loaded without the state of an optimizer, which would be a large part of both files.
        float_model = keras.saving.load_model(float_path, compile=False)
        float_model.save(float_path)
        float_classes = _classes(float_model, inputs, batch_size)
        for mode in modes:
            quantized, path = keras.saving.load_model(float_path, compile=False), Path(folder, f"{mode}.keras")
            quantized.quantize(mode)
            quantized.save(path)
            classes = _classes(quantized, inputs, batch_size)
            float_latency, latency = latencies([float_model.predict_on_batch, quantized.predict_on_batch], inputs[:1])
            reports.append(
                WeightOnlyReport(
                    mode=mode,
                    images=len(inputs),
                    float_size=float_path.stat().st_size,
                    size=path.stat().st_size,
                    float_latency=float_latency,
                    latency=latency,
                    agreement=float((classes == float_classes).mean()),
                    float_accuracy=None if labels is None else accuracy(float_classes, labels),
                    accuracy=None if labels is None else accuracy(classes, labels),
                    formats=formats_of(mode),
                )
            )
    return reports


def _classes(model, inputs, batch_size):
    """The class of each image."""
    return np.asarray(model.predict(inputs, batch_size=batch_size, verbose=0)).argmax(-1)
