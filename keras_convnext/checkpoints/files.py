"""Checkpoint files: reading and writing their arrays by name. The kind of a file follows from its first bytes."""

import contextlib
import os
import re
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_convnext.checkpoints.errors import DamagedFileError, first_line
from keras_convnext.checkpoints.torch_files import read_torch
from keras_convnext.checkpoints.torch_writer import write_torch
from keras_convnext.extras import require

READ_WITH = {".safetensors": "safetensors"}
"""The package that reads files with a suffix. Torch files need none, except those from before torch 1.6."""


def read_arrays(path: str | Path, ema: bool = False) -> dict[str, np.ndarray]:
    """Reads the arrays of a checkpoint: of torch, safetensors, Keras (`.keras`) or keras.applications (`.h5`).

    Args:
        path: of the file.
        ema: whether to read the moving average that a training script saved beside the weights. Defaults to False.

    Returns:
        A dict of NumPy arrays by their names in the file; for a `.keras` file, by weight path.

    Raises:
        ValueError: no such file, a folder, a file that is truncated, damaged, or of another kind, a torch file with
            other objects than tensors (nothing in it is run), or a file without a moving average if one is asked for.
        ModuleNotFoundError: safetensors is needed, or torch for a file from before torch 1.6, and is not installed.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from keras_convnext import ConvNeXtClassifier, save_checkpoint
    >>> from keras_convnext.checkpoints import read_arrays
    >>> path = Path(tempfile.mkdtemp()) / "model.h5"
    >>> save_checkpoint(ConvNeXtClassifier.from_preset("convnext_mini"), path, layout="keras.applications")
    >>> read_arrays(path)["stem_conv/bias"].shape
    (32,)
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: expected a checkpoint file, got a folder.")
    if not path.is_file():
        raise ValueError(f"{path}: no such file.")
    reader = _reader(path)
    if ema and reader is not read_torch:
        raise ValueError(f"{path}: expected a file of torch with a moving average of the weights.")
    arrays = reader(path, ema) if reader is read_torch else reader(path)
    others = [name for name, array in arrays.items() if array.dtype.kind not in "fiubV"]
    if others:
        raise ValueError(f"{path}: expected numbers, got {arrays[others[0]].dtype} in {others[0]}.")
    floats = {name for name, array in arrays.items() if array.dtype.kind in "fV"}
    return {name: array.astype("float32", copy=False) if name in floats else array for name, array in arrays.items()}


def check_readable(suffix):
    """Checks that files with a suffix can be read here.

    Raises:
        ModuleNotFoundError: safetensors is needed, and is not installed.
    """
    if suffix in READ_WITH:
        require(READ_WITH[suffix], "checkpoints")


def _reader(path):
    with open(path, "rb") as file:
        start = file.read(9)
    if start.startswith(b"\x89HDF"):
        return _read_h5
    if start[4:] == b"\0\0\0\0{":  # the length of the JSON that begins
        return _read_safetensors
    if start.startswith(b"PK\x03\x04"):
        return _read_keras if is_keras(path) else read_torch
    if start.startswith(b"\x80"):  # a pickle
        return read_torch
    raise DamagedFileError(
        f"{path}: expected a file of torch (.pth), safetensors, Keras (.keras) or keras.applications (.h5); it begins "
        f"with {start!r}."
    )


DAMAGED_ZIP = (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OverflowError, struct.error)
"""What `zipfile` raises for a damaged directory."""

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


def _read_safetensors(path):
    safetensors = require("safetensors", "checkpoints")
    try:
        entries = safetensors.deserialize(path.read_bytes())
        return {name: _array(entry) for name, entry in entries}
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise DamagedFileError(f"{path}: cut off or damaged ({first_line(error)}).") from error


def _array(entry):
    """The array of a safetensors entry. NumPy has no bfloat16, which is the upper half of a float32."""
    types = {"BF16": "uint16", "F16": "float16", "F32": "float32", "F64": "float64"}
    types |= {"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool"}
    array = np.frombuffer(entry["data"], types[entry["dtype"]]).reshape(entry["shape"]).copy()
    return (array.astype("uint32") << 16).view("float32") if entry["dtype"] == "BF16" else array


@contextlib.contextmanager
def with_keras_suffix(path):
    """A path of the same file with the suffix `.keras`, without which Keras does not load it."""
    if Path(path).suffix == ".keras":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, "model.keras")
        link.symlink_to(Path(path).absolute())
        yield link


def is_keras(path):
    """Whether a file is a saved Keras model: a zip archive with a `config.json`.

    Raises:
        DamagedFileError: it begins like a zip archive, but is not one.
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


def _read_keras(path):
    try:
        with with_keras_suffix(path) as path:
            model = keras.saving.load_model(path, compile=False)
    except DAMAGED_KERAS as error:
        raise DamagedFileError(f"{path}: cut off, damaged, or of another model ({first_line(error)}).") from error
    return {weight.path: keras.ops.convert_to_numpy(weight.value) for weight in model.weights}


# === keras.applications


def _read_h5(path):
    """The arrays by `LAYER/WEIGHT`, without the model's name in front."""
    try:
        with h5py.File(path) as file:
            group = _within(file, "model_weights") if "model_weights" in file else file
            if "layer_names" not in group.attrs:
                raise ValueError(
                    f"{path}: expected weights as keras.applications stores them, got other HDF5. Load Keras's own "
                    "`.weights.h5` with `model.load_weights`."
                )
            arrays = {}
            for layer in _names(group, "layer_names"):
                for weight in _names(_within(group, layer), "weight_names"):
                    arrays[_layer_and_weight(layer, weight)] = np.asarray(_within(group, f"{layer}/{weight}"))
    except (OSError, KeyError, RuntimeError, TypeError) as error:
        raise DamagedFileError(f"{path}: cut off or damaged ({first_line(error)}).") from error
    stem = next((name for name in arrays if name.endswith("stem_conv/kernel")), "stem_conv/kernel")
    return {name.removeprefix(stem.removesuffix("stem_conv/kernel")): array for name, array in arrays.items()}


def _within(group, name):
    """A member of a group, refused if it is in another file, to which links and external datasets can lead."""
    for part in name.split("/"):
        if part in group and not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise KeyError(f"{name} is a link")
        group = group[part]
    if isinstance(group, h5py.Dataset) and (group.external or group.is_virtual):
        raise KeyError(f"{name} is in another file")
    return group


def _names(group, attribute):
    return [name.decode() if isinstance(name, bytes) else name for name in group.attrs[attribute]]


def _layer_and_weight(layer, weight):
    """`LAYER/WEIGHT` from the names in the file.

    The layer of a weight within a `Sequential` is part of the weight's name. Keras 2 named layer scales `Variable`.
    Without the top, the last norm has a generic name.
    """
    *_, owner, name = ["", layer, *weight.removesuffix(":0").split("/")]
    owner = "head_layernorm" if re.fullmatch(r"layer_normalization(_\d+)?", owner) else owner
    return f"{layer}/gamma" if layer.endswith("layer_scale") else f"{owner}/{name}"


def _write_h5(path, arrays, metadata):
    """Writes a group per layer or `Sequential` of the model, in their order, as Keras does."""
    groups = {}
    for name, array in arrays.items():
        layer = name.partition("/")[0]
        groups.setdefault(_sequential(layer), []).append((name, array))
    with h5py.File(path, "w") as file:
        file.attrs.update({"layer_names": [name.encode() for name in groups], "backend": b"tensorflow"})
        file.attrs["keras_version"] = keras.__version__.encode()
        file.attrs.update({name: text.encode() for name, text in metadata.items()})
        for group, weights in groups.items():
            group = file.create_group(group)
            group.attrs["weight_names"] = [f"{name}:0".encode() for name, _ in weights]
            for name, array in weights:
                group[f"{name}:0"] = array


def _sequential(layer):
    """The `Sequential` that holds a layer of keras.applications, or the layer."""
    if layer.startswith("stem_"):
        return "stem"
    if layer.startswith("downsampling_"):
        return f"downsampling_block_{layer.rpartition('_')[2]}"
    return layer


# === Writing


def _write_torch(path, arrays, metadata):
    write_torch(path, arrays)


def _write_wrapped(path, arrays, metadata):
    write_torch(path, {"model": arrays, **metadata})


def _write_safetensors(path, arrays, metadata):
    require("safetensors.numpy", "checkpoints").save_file(arrays, path, metadata={"format": "pt", **metadata})


WRITERS = {
    ".pth": (None, _write_torch),
    ".pt": (None, _write_torch),
    ".bin": (None, _write_torch),
    ".safetensors": ("safetensors", _write_safetensors),
    ".h5": (None, _write_h5),
}
"""By suffix: the package that is needed, and the function that writes such a file."""


def write_arrays(path, arrays, wrapped=False, metadata=None):
    """Writes arrays to a file. If that fails, an existing file is left as it was.

    Args:
        path: of the file. Its suffix, one of `WRITERS`, determines the kind of file.
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
