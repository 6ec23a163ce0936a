"""Images from a NumPy archive with the four arrays of Keras's own data sets."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from keras_convnext.data.images import ImageData, Images
from keras_convnext.preprocessing.axes import check_channels_last

ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def load_npz(path: str | Path) -> ImageData:
    """Reads `x_train, y_train, x_test, y_test` from an `.npz` file and checks them.

    Images are of shape `(count, height, width)` or `(count, height, width, channels)`, in 0..255. Labels are integers
    from 0 on, of shape `(count,)` or `(count, 1)`. An optional array `class_names` names the classes.

    Args:
        path: path of the file.

    Returns:
        `ImageData` with `train` and `test`.

    Raises:
        ValueError: not such a file, a missing array, shapes that do not fit, or labels or pixels out of range.

    Example:

    >>> import tempfile
    >>> import numpy as np
    >>> from keras_convnext.data import load_npz
    >>> images, labels = np.zeros((4, 8, 8), "uint8"), np.array([0, 1, 0, 1])
    >>> path = tempfile.mkdtemp() + "/images.npz"
    >>> np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels, class_names=["cat", "dog"])
    >>> load_npz(path).train.pixels.shape
    (4, 8, 8, 1)
    """
    path = Path(path)
    arrays = _read(path)
    labels = {part: _labels(arrays[f"y_{part}"], f"{path}: y_{part}") for part in ("train", "test")}
    class_names = _class_names(arrays.get("class_names"), labels["train"], path)
    parts = {}
    for part in ("train", "test"):
        pixels = _pixels(arrays[f"x_{part}"], f"{path}: x_{part}")
        if len(pixels) != len(labels[part]):
            last = f" {pixels.shape} looks like (height, width, channels, count): take numpy.moveaxis(array, -1, 0)."
            raise ValueError(
                f"{path}: {len(pixels)} images in x_{part}, but {len(labels[part])} labels in y_{part}."
                + (last if pixels.shape[-1] == len(labels[part]) else "")
            )
        if labels[part].max() >= len(class_names):
            raise ValueError(
                f"{path}: y_{part} has the label {labels[part].max()}; with {len(class_names)} classes, labels go from "
                f"0 to {len(class_names) - 1}."
            )
        parts[part] = Images(pixels, labels[part], class_names)
    if parts["train"].pixels.shape[1:] != parts["test"].pixels.shape[1:]:
        raise ValueError(
            f"{path}: images of x_train and x_test differ in shape: {parts['train'].pixels.shape[1:]} and "
            f"{parts['test'].pixels.shape[1:]}."
        )
    return ImageData(parts["train"], test=parts["test"])


def _read(path):
    """The arrays of an archive. Pickled ones are refused."""
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("a single array")
        with archive:
            arrays = {name: archive[name] for name in (*ARRAYS, "class_names") if name in archive}
            names = archive.files
    except FileNotFoundError as error:
        raise ValueError(f"No such file or folder: {path}") from error
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: not a readable .npz file ({error}).") from error
    missing = [name for name in ARRAYS if name not in arrays]
    if missing:
        raise ValueError(
            f"{path}: expected the arrays {', '.join(ARRAYS)}; {', '.join(missing)} missing. "
            f"It holds: {', '.join(names) or 'none'}"
        )
    return arrays


def _labels(array, where):
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"{where}: expected whole numbers of shape (count,), got {array.dtype} of shape {array.shape}."
            + _labels_hint(array)
        )
    if not len(array):
        raise ValueError(f"{where}: no labels.")
    if array.min() < 0:
        raise ValueError(f"{where}: labels go from 0 up, got {array.min()}.")
    return array.astype("int64")


def _labels_hint(array):
    """How to convert labels of another kind to integers."""
    if array.ndim == 2:
        return " One-hot labels: take array.argmax(axis=1)."
    if array.ndim == 1 and array.dtype.kind in "US":
        return " Names: take class_names, y = numpy.unique(array, return_inverse=True), and save class_names too."
    if array.ndim == 1 and array.dtype.kind == "f" and (array == np.floor(array)).all():
        return ' All are whole numbers: take array.astype("int64").'
    return ""


def _class_names(names, train_labels, path):
    """The given names, or the labels as names. Every class must have a training image."""
    present = np.unique(train_labels)
    count = int(present[-1]) + 1 if names is None else len(names)
    if count < 2:
        raise ValueError(f"{path}: expected two classes or more, y_train has only {count}.")
    if present[-1] >= count:
        raise ValueError(f"{path}: labels out of range: y_train goes up to {present[-1]}, but class_names has {count}.")
    if len(present) < count:
        gaps = np.flatnonzero(present != np.arange(len(present)))
        first = int(gaps[0]) if len(gaps) else len(present)
        raise ValueError(
            f"{path}: labels out of range: of {count} classes y_train has {len(present)}, and no image with the label "
            f"{first}; labels go from 0 up without gaps."
        )
    return tuple(str(name) for name in (range(count) if names is None else names))


def _pixels(array, where):
    array = array[..., None] if array.ndim == 3 else array
    if array.ndim != 4:
        raise ValueError(
            f"{where}: expected images of shape (count, height, width) or (count, height, width, channels), got "
            f"{array.shape}."
        )
    check_channels_last(array.shape, where)
    if not array.size or not np.issubdtype(array.dtype, np.number):
        raise ValueError(f"{where}: expected pixels in 0..255, got {array.dtype} of shape {array.shape}.")
    if array.dtype == np.uint8:
        return array
    array = array.astype("float32")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and 1 < high <= 255):
        raise ValueError(
            f"{where}: expected pixels in 0..255, got {low:g}..{high:g}. Scale them first{_scaling(low, high)}."
        )
    return array


def _scaling(low, high):
    """How to scale pixels of another range to 0..255, if the range is a usual one."""
    if low >= 0 and high <= 1:
        return ': (array * 255).round().astype("uint8")'
    if low >= 0 and high < 2**16:
        return ', of 16 bits: (array / 257).round().astype("uint8")'
    return ""
