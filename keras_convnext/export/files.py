"""The files of an export: written in a temporary folder beside their place, and moved there at the end."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_convnext.export.check import ExportError
from keras_convnext.new_paths import check_new_path

FAILURES = (RuntimeError, ValueError, TypeError, KeyError, AttributeError, AssertionError)
"""What converters, quantizers and runtimes raise if they do not support an operation."""


def files_of(path: Path, format_name: str) -> list[Path]:
    """The files of an export. OpenVINO stores the weights in a second file.

    Args:
        path: path of the export.
        format_name: a key of `FORMATS`.

    Example:

    >>> from pathlib import Path
    >>> from keras_convnext.export.files import files_of
    >>> [file.name for file in files_of(Path("digits.xml"), "openvino")]
    ['digits.xml', 'digits.bin']
    """
    return [path, path.with_suffix(".bin")] if format_name == "openvino" else [path]


def size_of(path: Path, format_name: str) -> int:
    """The size in bytes of an exported file with its weights, or of the folder of a SavedModel."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return sum(file.stat().st_size for file in files_of(path, format_name))


@contextmanager
def beside(path: Path, format_name: str) -> Iterator[Path]:
    """A path of the same name in a new folder beside. What is written there is moved to the given path at the end.

    Raises:
        OSError: the disk is full; the message has the path.
        ValueError: a file has appeared at the given path in the meantime. Nothing is left then.
    """
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.absolute().parent))
    try:
        try:
            yield folder / path.name
        except OSError as error:  # such as a full disk, which not every writer names
            error.filename = str(path) if error.filename is None else error.filename
            raise
        for file in files_of(path, format_name):
            check_new_path(file)
        for file in reversed(files_of(path, format_name)):  # the main file last
            (folder / file.name).rename(file)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def as_export_errors(what: str, failures: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Raises the errors of converters, quantizers and runtimes, which have many types, as `ExportError`.

    Args:
        what: the start of the message.
        failures: types of errors besides Python's own.
    """
    kinds: tuple[type[Exception], ...] = (*FAILURES, *failures)
    try:
        yield
    except ExportError:
        raise
    except kinds as error:
        text = re.sub(r"\x1b\[\d*m", "", str(error))  # Keras prints the reason in bold, below where it was raised
        lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
        raise ExportError(f"{what}: {' '.join(lines[:2])}") from error
