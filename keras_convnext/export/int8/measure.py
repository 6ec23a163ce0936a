"""Measuring an int8 file against its float file: classes, accuracy, latency and size."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_convnext.export.check import ExportError
from keras_convnext.export.files import as_export_errors, size_of
from keras_convnext.export.formats import find_format
from keras_convnext.export.int8.calibration import BATCH, batches, checked_images
from keras_convnext.export.int8.report import Int8Report
from keras_convnext.export.metadata import read_metadata
from keras_convnext.export.runtimes import RUNTIMES, failures
from keras_convnext.scalars import integer, optional

ROUNDS = 15
"""Rounds of measuring latency. Float and int8 alternate, so that a busy machine slows down both."""

SECONDS_PER_ROUND = 0.01
"""The least time of a round of one file: a single call of a small model is too short to be timed."""

NOT_ANNOTATED = 255
"""The label of pixels that do not count, in label maps."""

CLASS_OUTPUTS = ("logits", "probabilities")
"""The outputs that have a value per class."""


def compare(
    float_path: str | Path,
    int8_path: str | Path,
    images: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    batch_size: int = BATCH,
    threads: int | None = None,
) -> Int8Report:
    """Compares an int8 file with its float file on images that neither was calibrated with, such as the test images.

    Args:
        float_path: the float32 file.
        int8_path: the int8 file, of the same format.
        images: array of shape `(images, height, width, channels)` in 0..255, of the size that the files take.
        labels: class indices of shape `(images,)`, or label maps of shape `(images, height, width)` for segmentation,
            where 255 marks pixels that do not count. Defaults to None.
        batch_size: images per batch, except for the latency. Defaults to 25.
        threads: number of threads of the runtime. Defaults to None, for the runtime's choice.

    Returns:
        An `Int8Report`.

    Raises:
        ValueError: the images or labels do not fit the file, the file has no classes, or the formats differ.
        ExportError: a file does not run.
    """
    format = find_format(float_path)
    if find_format(int8_path) is not format:
        raise ValueError(f"{float_path} and {int8_path} must have the same format.")
    metadata = read_metadata(float_path)
    check_has_classes(metadata, float_path)
    inputs = checked_images(images, metadata)
    labels = checked_labels(labels, inputs, metadata)
    return measure(Path(float_path), Path(int8_path), inputs, labels, metadata, batch_size, threads)


def check_has_classes(metadata: Mapping[str, Any], path: str | Path) -> None:
    """Raises an error if a file gives no classes, by which an int8 file could be checked.

    Raises:
        ValueError: the file has features, or raw outputs of a detector.
    """
    outputs = metadata["outputs"]
    if len(outputs) != 1 or outputs[0] not in CLASS_OUTPUTS:
        raise ValueError(
            f"{path}: only files of classifiers and segmentation models are quantized to int8, because an int8 file is "
            "checked by the classes that it gives. A small error of features or raw boxes may spoil what is computed "
            f"from them. Received: a file with the outputs {', '.join(outputs)}"
        )


def checked_labels(labels: np.ndarray | None, inputs: np.ndarray, metadata: Mapping[str, Any]) -> np.ndarray | None:
    """Labels as an array of integers, one per image or one per pixel.

    Args:
        labels: the labels, or None.
        inputs: images as the file takes them.
        metadata: metadata of the file.

    Raises:
        ValueError: the labels are not integers, or there is not one per image or pixel.
    """
    if labels is None:
        return None
    labels = np.asarray(labels)
    axes = (2, 3) if metadata["input"]["layout"] == "NCHW" else (1, 2)
    shapes = [(len(inputs),), (len(inputs), *(inputs.shape[axis] for axis in axes))]
    if labels.dtype.kind not in "iu" or labels.shape not in shapes:
        raise ValueError(
            f"Expected labels as integers of shape {shapes[0]}, or {shapes[1]} for segmentation. Received: an array of "
            f"shape {labels.shape} and dtype {labels.dtype}"
        )
    return labels


def measure(
    float_path: Path,
    int8_path: Path,
    inputs: np.ndarray,
    labels: np.ndarray | None,
    metadata: Mapping[str, Any],
    batch_size: int,
    threads: int | None = None,
) -> Int8Report:
    """Runs both files on images that are checked already. The arguments are those of `compare` and `checked_images`."""
    format = find_format(float_path)
    fixed = metadata["input"]["shape"][0]
    batch_size = integer("batch_size", batch_size, 1)
    threads = optional(integer, "threads", threads, 1)
    with as_export_errors(f"{format.title}'s runtime does not run the file", failures(format.name)):
        runs = [RUNTIMES[format.name](path, threads) for path in (float_path, int8_path)]
        before, after = (_classes(run, inputs, metadata, batch_size) for run in runs)
        latency_batch, _ = next(batches(inputs[:1], 1, fixed))
        float_latency, int8_latency = latencies(runs, latency_batch)
    if labels is not None and labels.shape != before.shape:
        raise ValueError(f"Expected labels of shape {before.shape}, one per class. Received: shape {labels.shape}")
    accuracies = [None if labels is None else accuracy(classes, labels) for classes in (before, after)]
    return Int8Report(
        path=str(int8_path),
        format=format.name,
        images=len(inputs),
        float_size=size_of(float_path, format.name),
        int8_size=size_of(int8_path, format.name),
        float_latency=float_latency,
        int8_latency=int8_latency,
        latency_batch=len(latency_batch),
        agreement=float((before == after).mean()),
        float_accuracy=accuracies[0],
        int8_accuracy=accuracies[1],
    )


def _classes(run, inputs, metadata, batch_size):
    """The class of each image, of shape `(images,)`, or of each pixel, of shape `(images, height, width)`."""
    found = []
    for batch, count in batches(inputs, batch_size, metadata["input"]["shape"][0]):
        (scores,) = run(batch).values()
        if not np.isfinite(scores).all():
            raise ExportError("The file gives values that are NaN or Inf.")
        axis = 1 if scores.ndim == 4 and metadata["input"]["layout"] == "NCHW" else -1
        found.append(scores.argmax(axis)[:count])
    return np.concatenate(found)


def accuracy(classes: np.ndarray, labels: np.ndarray) -> float:
    """The share of classes that are right, among labels that count."""
    counted = labels != NOT_ANNOTATED if labels.ndim > 1 else np.ones(labels.shape, bool)
    return float((classes == labels)[counted].mean())


def latencies(runs: Sequence[Callable[[np.ndarray], Any]], batch: np.ndarray) -> list[float]:
    """The median time of a call in milliseconds, for each function. The functions alternate in rounds."""
    for run in runs:
        run(batch)
    start = time.perf_counter()
    for run in runs:
        run(batch)
    once = (time.perf_counter() - start) / len(runs)
    calls = max(1, round(SECONDS_PER_ROUND / once))
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(ROUNDS):
        for run, found in zip(runs, times, strict=True):
            start = time.perf_counter()
            for _ in range(calls):
                run(batch)
            found.append(1000 * (time.perf_counter() - start) / calls)
    return [statistics.median(found) for found in times]
