"""Writing the arrays of a checkpoint to a file by name. The suffix of the file determines its kind."""

import os
from pathlib import Path

from keras_convnext.checkpoints.h5_files import write_h5
from keras_convnext.checkpoints.safetensors_files import write_safetensors
from keras_convnext.checkpoints.torch_writer import write_torch


def _write_torch(path, arrays, metadata):
    write_torch(path, arrays)


def _write_wrapped(path, arrays, metadata):
    write_torch(path, {"model": arrays, **metadata})


WRITERS = {
    ".pth": (None, _write_torch),
    ".pt": (None, _write_torch),
    ".bin": (None, _write_torch),
    ".safetensors": ("safetensors", write_safetensors),
    ".h5": (None, write_h5),
}
"""The package that is needed and the function that writes the file, by suffix."""


def write_arrays(path, arrays, wrapped=False, metadata=None):
    """Writes arrays to a file. If that fails, an existing file is left as it was.

    Args:
        path: path of the file. Its suffix, one of `WRITERS`, determines the kind of file.
        arrays: dict of NumPy arrays by name, in order.
        wrapped: whether a torch file holds a dict whose `"model"` is the dict of arrays, as the authors' scripts
            expect. Defaults to False.
        metadata: dict of str, written beside the arrays if the kind of file has a place for it. Defaults to None.

    Raises:
        ModuleNotFoundError: safetensors is needed, and is not installed.
    """
    path = Path(path)
    _, write = WRITERS[path.suffix]
    if wrapped and write is _write_torch:
        write = _write_wrapped
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary, arrays, metadata or {})
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
