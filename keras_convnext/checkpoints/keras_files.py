"""`.keras` files, which are zip archives with the configuration and the weights of a whole Keras model."""

import contextlib
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import keras

from keras_convnext.checkpoints.errors import DamagedFileError, first_line

DAMAGED_ZIP = (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OverflowError, struct.error)
"""What `zipfile` raises for a damaged directory; `NotImplementedError` for a version that it does not know."""

DAMAGED_KERAS = (
    ValueError,
    TypeError,
    KeyError,
    OSError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
)
"""What Keras and `zipfile` raise for a damaged file; the last one for an unknown compression."""


@contextlib.contextmanager
def with_keras_suffix(path: str | Path) -> Iterator[str | Path]:
    """A context with a path of the same file that ends in `.keras`, without which Keras does not load it.

    Args:
        path: path of a saved Keras model, with any name.

    Example:

    >>> from keras_convnext.checkpoints import with_keras_suffix
    >>> with with_keras_suffix("downloads/0f3a9c") as path:
    ...     path.name
    'model.keras'
    """
    if Path(path).suffix == ".keras":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, "model.keras")
        link.symlink_to(Path(path).absolute())
        yield link


def is_keras(path: str | Path) -> bool:
    """Whether a file is a saved Keras model: a zip archive with a `config.json`.

    Args:
        path: path of the file, which need not exist.

    Raises:
        DamagedFileError: the file begins like a zip archive, but is not one.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.checkpoints import is_keras
    >>> path = Path(tempfile.mkdtemp()) / "model.keras"
    >>> ConvNeXtClassifier.from_preset("convnext_mini").save(path)
    >>> is_keras(path)
    True
    """
    if not Path(path).is_file():
        return False
    with open(path, "rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return False
    try:
        with zipfile.ZipFile(path) as archive:
            return "config.json" in archive.namelist()
    except DAMAGED_ZIP as error:
        raise DamagedFileError(f"{path}: cut off or damaged ({first_line(error)}).") from error


def read_keras(path):
    """Reads the arrays of a saved model by weight path."""
    try:
        with with_keras_suffix(path) as path:
            model = keras.saving.load_model(path, compile=False)
    except DAMAGED_KERAS as error:
        raise DamagedFileError(f"{path}: cut off, damaged, or of another model ({first_line(error)}).") from error
    return {weight.path: keras.ops.convert_to_numpy(weight.value) for weight in model.weights}
