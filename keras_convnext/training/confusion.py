"""Drawing a confusion matrix: which classes a classifier takes for which."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_convnext.extras import require

SHOWN_CLASSES = 30
"""The most classes that are readable in one figure. Of more classes, those with the most mistakes are shown."""

LONGEST_NAME = 24

OTHERS = "all others"


def confusion_matrix(
    labels: np.ndarray | Sequence[int], predicted: np.ndarray | Sequence[int], num_classes: int
) -> np.ndarray:
    """Counts how often each class was predicted for the images of each class.

    Args:
        labels: the true classes, integers of shape `(images,)`.
        predicted: the predicted classes, integers of shape `(images,)`.
        num_classes: number of classes.

    Returns:
        Integers of shape `(num_classes, num_classes)`: rows are true classes, columns predicted ones.

    Example:

    >>> from keras_convnext.training import confusion_matrix
    >>> confusion_matrix([0, 0, 1], [0, 1, 1], 2)
    array([[1, 1],
           [0, 1]])
    """
    pairs = np.asarray(labels, "int64") * num_classes + np.asarray(predicted, "int64")
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def draw_confusion(
    labels: np.ndarray | Sequence[int],
    predicted: np.ndarray | Sequence[int],
    class_names: Sequence[str],
    path: str | Path,
    part: str = "test",
) -> None:
    """Draws a confusion matrix into a PNG file. Rows are true classes, and colours are shares of a row's images.

    With more than 30 classes, the 30 with the most mistakes are shown, and all others share one column.

    Args:
        labels: the true classes, integers of shape `(images,)`.
        predicted: the predicted classes, integers of shape `(images,)`.
        class_names: the names of all classes.
        path: path of the file to write; an existing one is replaced.
        part: the name of the part to which the images belong. Defaults to `"test"`.

    Example:

    >>> import tempfile
    >>> from keras_convnext.training import draw_confusion
    >>> draw_confusion([0, 0, 1], [0, 1, 1], ["cat", "dog"], tempfile.mkdtemp() + "/confusion.png")
    """
    labels, predicted = np.asarray(labels, "int64"), np.asarray(predicted, "int64")
    chosen = _most_confused(labels, predicted, len(class_names))
    rows, columns = _part_of_matrix(labels, predicted, chosen, len(class_names))
    names = [shortened(class_names[label]) for label in chosen]
    right = int((labels == predicted).sum())
    facts = f"{right:,} of {len(labels):,} {part} images right ({right / max(1, len(labels)):.1%})"
    if len(chosen) < len(class_names):
        facts += f"\nthe {len(chosen)} of {len(class_names):,} classes with the most mistakes"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a class name in characters that the font lacks
        _draw(rows, columns, names, facts, path)


def shortened(name: str, longest: int = LONGEST_NAME) -> str:
    """The name of a class, shortened to `longest` characters by leaving out its middle.

    Example:

    >>> from keras_convnext.training.confusion import shortened
    >>> shortened("a class with a very long name", longest=11)
    'a cla\u2026name'
    """
    name = " ".join(str(name).split())
    if len(name) <= longest:
        return name
    start, end = name[: longest // 2], name[len(name) - (longest - longest // 2 - 1) :]
    return f"{start.rstrip()}\u2026{end.lstrip()}"


def _most_confused(labels, predicted, num_classes):
    """The classes to show, in their order: all, or those with the most mistakes."""
    if num_classes <= SHOWN_CLASSES:
        return np.arange(num_classes)
    wrong = labels != predicted
    mistakes = np.bincount(labels[wrong], minlength=num_classes) + np.bincount(predicted[wrong], minlength=num_classes)
    images = np.bincount(labels, minlength=num_classes)
    order = np.lexsort((np.arange(num_classes), -images, -mistakes))  # among equals, those with more images
    return np.sort(order[:SHOWN_CLASSES])


def _part_of_matrix(labels, predicted, chosen, num_classes):
    """The counts of the chosen classes; and of each, how many images were taken for a class that is not shown."""
    places = np.full(num_classes, -1)
    places[chosen] = np.arange(len(chosen))
    row, column = places[labels], places[predicted]
    inside = (row >= 0) & (column >= 0)
    matrix = confusion_matrix(row[inside], column[inside], len(chosen))
    if len(chosen) == num_classes:
        return matrix, None
    return matrix, np.bincount(row[(row >= 0) & (column < 0)], minlength=len(chosen))


def _draw(matrix, others, names, title, path):
    count = len(names)
    counts = matrix if others is None else np.column_stack([matrix, others])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    column_names = names if others is None else [*names, OTHERS]
    size = 2.2 + 0.34 * max(count, 6)
    figure = require("matplotlib.figure", extra="cli").Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1.2)  # the square root makes shares of some percent visible
    fontsize = 9 if count <= 20 else 7
    axes.set_xticks(range(len(column_names)), column_names, rotation=90, fontsize=fontsize, parse_math=False)
    axes.set_yticks(range(count), names, fontsize=fontsize, parse_math=False)
    axes.set(xlabel="predicted class", ylabel="true class (colour: share of its images)")
    axes.set_title(title, fontsize=10)
    for (row, column), number in np.ndenumerate(counts):
        if number:
            axes.text(
                column,
                row,
                _compact(number),
                ha="center",
                va="center",
                fontsize=fontsize - (2 if number > 999 else 1),
                color="white" if shares[row, column] > 0.45 else "black",
            )
    if others is not None:
        axes.axvline(count - 0.5, color="0.5", linewidth=1)
    axes.set_xticks(np.arange(len(column_names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="0.9", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    figure.savefig(path, dpi=120)


def _compact(number):
    """A count that fits into its cell."""
    return str(number) if number < 10_000 else f"{number / 1000:.0f}k"
