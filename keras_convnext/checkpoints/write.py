"""Writing the arrays of a checkpoint to a file by name. The suffix of the file determines its kind."""

import os
from pathlib import Path

from keras_convnext.checkpoints.h5_files import write_h5
from keras_convnext.checkpoints.safetensors_files import write_safetensors
from keras_convnext.checkpoints.torch_writer import write_torch


def _write_torch(path, arrays, metadata):
    write_torch(path, arrays)


WRITERS = {
    ".pth": (None, _write_torch),
    ".pt": (None, _write_torch),
    ".bin": (None, _write_torch),
    ".safetensors": ("safetensors", write_safetensors),
    ".h5": (None, write_h5),
}
"""The package that is needed and the function that writes the file, by suffix."""


def write_arrays(path, arrays, wrapper=None, metadata=None):
    """Writes arrays to a file. If that fails, an existing file is left as it was.

    Args:
        path: path of the file. Its suffix, one of `WRITERS`, determines the kind of file.
        arrays: dict of NumPy arrays by name, in order.
        wrapper: the key of the dict of arrays in a dict that a torch file holds, such as `"model"` for the authors'
            scripts. Defaults to None: a torch file holds the dict of arrays itself.
        metadata: dict of str, written beside the arrays if the kind of file has a place for it. Defaults to None.

    Raises:
        ModuleNotFoundError: safetensors is needed, and is not installed.
    """
    path = Path(path)
    _, write = WRITERS[path.suffix]
    metadata = metadata or {}
    if wrapper and write is _write_torch:
        arrays = {wrapper: arrays, **metadata}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary, arrays, metadata)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
