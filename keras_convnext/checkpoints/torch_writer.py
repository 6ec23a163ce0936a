"""Writing the zip archive that `torch.load` reads, with NumPy alone."""

import pickle
import struct
import zipfile

from keras_convnext.checkpoints.torch_pickle import STORAGES

ALIGNMENT = 64
"""Arrays begin at a multiple of this many bytes in the file, as torch aligns them for `mmap`."""

KINDS = {dtype: kind for kind, dtype in STORAGES.items()}


def write_torch(path, content):
    """Writes a file as `torch.save` does.

    Args:
        path: path of the file.
        content: dict of NumPy arrays by name, or of such dicts and of strings.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from keras_convnext.checkpoints import read_arrays
    >>> from keras_convnext.checkpoints.torch_writer import write_torch
    >>> path = Path(tempfile.mkdtemp()) / "model.pth"
    >>> write_torch(path, {"model": {"weight": np.ones((2, 3), "float32")}, "license": "MIT"})
    >>> read_arrays(path)["weight"].shape
    (2, 3)
    """
    arrays = []
    data = b"\x80\x02" + _pickled(content, arrays) + b"."
    with open(path, "wb") as file, zipfile.ZipFile(file, "w") as archive:
        _write_record(file, archive, "data.pkl", data)
        _write_record(file, archive, "byteorder", b"little")
        for number, array in enumerate(arrays):
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            _write_record(file, archive, f"data/{number}", little.tobytes())
        _write_record(file, archive, "version", b"3\n")


def _write_record(file, archive, name, data):
    """Writes a record. Padding in the extra field of its header aligns the data."""
    info = zipfile.ZipInfo(f"archive/{name}")
    start = file.tell() + zipfile.sizeFileHeader + len(info.filename) + 4
    padding = -start % ALIGNMENT
    info.extra = struct.pack("<2sH", b"FB", padding) + b"Z" * padding
    archive.writestr(info, data)


def _pickled(value, arrays):
    """The pickle's instructions for a value. Appends the arrays of the value to `arrays`."""
    if isinstance(value, dict):
        items = (_plain(name) + _pickled(each, arrays) for name, each in value.items())
        return b"}(" + b"".join(items) + b"u"
    if isinstance(value, str):
        return _plain(value)
    arrays.append(value)
    number = str(len(arrays) - 1)
    storage = _tuple(
        _plain("storage"),
        _global("torch", f"{KINDS[value.dtype.name]}Storage"),
        *map(_plain, (number, "cpu", value.size)),
    )
    strides = tuple(stride // value.itemsize for stride in value.strides)
    arguments = _tuple(
        storage + pickle.BINPERSID,
        *map(_plain, (0, value.shape, strides, False)),
        _global("collections", "OrderedDict") + b")R",
    )
    return _global("torch._utils", "_rebuild_tensor_v2") + arguments + pickle.REDUCE


def _plain(value):
    """The instructions for a number, a string, or a tuple of them, without a pickle's first and last instruction."""
    return pickle.dumps(value, protocol=2)[2:-1]


def _tuple(*parts):
    return pickle.MARK + b"".join(parts) + pickle.TUPLE


def _global(module, name):
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()
