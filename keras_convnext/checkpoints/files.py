"""Checkpoint files: the arrays in them by name. What a file is, its first bytes say, not its name."""

import argparse
import contextlib
import os
import pickle
import re
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_convnext.extras import require

WRAPPERS = ("model", "state_dict", "module")
"""Under which names training scripts save the weights beside an optimizer and the like, in this order."""

EMA_WRAPPERS = ("model_ema", "state_dict_ema")
"""The same of the moving average of the weights, in the authors' scripts and timm's."""

PREFIXES = ("module.", "_orig_mod.")
"""What wrappers of a torch model put before all names: DistributedDataParallel and `torch.compile`."""

READ_WITH = {".pth": "torch", ".pt": "torch", ".bin": "torch", ".safetensors": "safetensors"}
"""The package that files are read with, by the suffixes that they are published with."""

SAFE_TORCH = (2, 6)
"""The first torch whose `weights_only` keeps to it (CVE-2025-32434)."""


class DamagedFileError(ValueError):
    """A file that is cut off, damaged, or of no known kind: another copy may serve."""


def read_arrays(path, ema=False):
    """The weights in a file of torch, safetensors, Keras (`.keras`) or keras.applications (`.h5`).

    Args:
        path: of the file.
        ema: bool, whether the moving average is read that a training script saved beside the weights. Defaults to
            False.

    Returns:
        A dict of NumPy arrays by the names that they have there; of a `.keras` file, by weight path.

    Raises:
        ValueError: no such file, a folder, a file that is cut off, damaged, of another kind, or that holds more than
            weights: nothing in it is run. No moving average in it.
        ModuleNotFoundError: torch or safetensors is needed, and not installed.

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
    if ema and reader is not _read_torch:
        raise ValueError(f"{path}: expected a file of torch with a moving average of the weights.")
    arrays = reader(path, ema) if reader is _read_torch else reader(path)
    others = [name for name, array in arrays.items() if array.dtype.kind not in "fiubV"]
    if others:
        raise ValueError(f"{path}: expected numbers, got {arrays[others[0]].dtype} in {others[0]}.")
    return {name: array.astype("float32") if array.dtype.kind in "fV" else array for name, array in arrays.items()}


def check_readable(suffix):
    """Raises where a file that is published with a suffix cannot be read here.

    Raises:
        ModuleNotFoundError: torch or safetensors is needed, and not installed.
        ValueError: a torch that does not read safely.
    """
    package = READ_WITH.get(suffix)
    if package == "torch":
        _safe_torch()
    elif package:
        require(package, "checkpoints")


def _safe_torch():
    torch = require("torch", "checkpoints")
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < SAFE_TORCH:
        needed = ".".join(map(str, SAFE_TORCH))
        raise ValueError(f"Files of torch need torch {needed} or later, to be read safely. Got {torch.__version__}.")
    return torch


def _reader(path):
    with open(path, "rb") as file:
        start = file.read(9)
    if start.startswith(b"\x89HDF"):
        return _read_h5
    if start[4:] == b"\0\0\0\0{":  # the length of the JSON that begins
        return _read_safetensors
    if start.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(path) as archive:
                return _read_keras if "config.json" in archive.namelist() else _read_torch
        except zipfile.BadZipFile as error:
            raise DamagedFileError(f"{path}: cut off or damaged ({error}).") from error
    if start.startswith(b"\x80"):  # a pickle
        return _read_torch
    raise DamagedFileError(
        f"{path}: expected a file of torch (.pth), safetensors, Keras (.keras) or keras.applications (.h5); it begins "
        f"with {start!r}."
    )


def _first_line(error):
    return (str(error) or type(error).__name__).splitlines()[0]


DAMAGED_PICKLE = (
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)
"""What torch raises of bytes that are not what they were written as."""

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
"""What Keras and its zip archive raise, the last of an unknown kind of compression."""


def _read_torch(path, ema):
    torch = _safe_torch()
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if damaged := archive.testzip():  # torch does not look at the checksums
                    raise DamagedFileError(f"{path}: {damaged} in it is damaged.")
        with torch.serialization.safe_globals([argparse.Namespace]), open(path, "rb") as file:
            loaded = torch.load(file, map_location="cpu", weights_only=True)  # of a path torch looks at the suffix
    except pickle.UnpicklingError as error:
        raise DamagedFileError(
            f"{path}: refused: it is damaged, or holds other objects than tensors, which could run code. "
            f"{_first_line(error)}"
        ) from error
    except DamagedFileError:
        raise
    except DAMAGED_PICKLE as error:
        if "allocate memory" in str(error):
            raise
        raise DamagedFileError(f"{path}: cut off or damaged ({_first_line(error)}).") from error
    if not isinstance(loaded, dict):
        raise ValueError(f"{path}: expected a dict of tensors, got {type(loaded).__name__}.")
    wrappers = EMA_WRAPPERS if ema else WRAPPERS
    found = next((loaded[wrapper] for wrapper in wrappers if isinstance(loaded.get(wrapper), dict)), loaded)
    if ema and found is loaded:
        raise ValueError(f"{path}: expected a moving average, as one of {', '.join(wrappers)}; got {[*loaded][:5]}.")
    tensors = {name: found[name] for name in found if isinstance(name, str) and isinstance(found[name], torch.Tensor)}
    if not tensors:
        raise ValueError(f"{path}: expected a dict of tensors by name, got one with {[*found][:5]}.")
    while prefix := next((prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in tensors)), None):
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    tensors = {name: value.detach() for name, value in tensors.items()}
    return {name: (value.float() if value.is_floating_point() else value).numpy() for name, value in tensors.items()}


def _read_safetensors(path):
    safetensors = require("safetensors", "checkpoints")
    try:
        entries = safetensors.deserialize(path.read_bytes())
        return {name: _array(entry) for name, entry in entries}
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise DamagedFileError(f"{path}: cut off or damaged ({_first_line(error)}).") from error


def _array(entry):
    """The array of a safetensors entry; NumPy has no bfloat16, the upper half of a float32."""
    types = {"BF16": "uint16", "F16": "float16", "F32": "float32", "F64": "float64"}
    types |= {"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool"}
    array = np.frombuffer(entry["data"], types[entry["dtype"]]).reshape(entry["shape"])
    return (array.astype("uint32") << 16).view("float32") if entry["dtype"] == "BF16" else array


@contextlib.contextmanager
def called_keras(path):
    """A path of the same file whose name ends in `.keras`, which Keras goes by."""
    if Path(path).suffix == ".keras":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, "model.keras")
        link.symlink_to(Path(path).absolute())
        yield link


def is_keras(path):
    """Whether a file is a whole model of Keras: an archive with a `config.json`."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "config.json" in archive.namelist()


def _read_keras(path):
    try:
        with called_keras(path) as path:
            model = keras.saving.load_model(path, compile=False)
    except DAMAGED_KERAS as error:
        raise DamagedFileError(f"{path}: cut off, damaged, or of another model ({_first_line(error)}).") from error
    return {weight.path: keras.ops.convert_to_numpy(weight.value) for weight in model.weights}


# === keras.applications


def _read_h5(path):
    """The arrays as `LAYER/WEIGHT`, without the model's name before the layer's."""
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
        raise DamagedFileError(f"{path}: cut off or damaged ({_first_line(error)}).") from error
    stem = next((name for name in arrays if name.endswith("stem_conv/kernel")), "stem_conv/kernel")
    return {name.removeprefix(stem.removesuffix("stem_conv/kernel")): array for name, array in arrays.items()}


def _within(group, name):
    """What a group holds, in the same file: a link may lead to another, and so may a dataset's numbers."""
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
    """A layer in a `Sequential` stands in the weight's name. Keras 2 had no name for layer scale but `Variable`.

    Without a top the last norm is called as Keras calls any.
    """
    *_, owner, name = ["", layer, *weight.removesuffix(":0").split("/")]
    owner = "head_layernorm" if re.fullmatch(r"layer_normalization(_\d+)?", owner) else owner
    return f"{layer}/gamma" if layer.endswith("layer_scale") else f"{owner}/{name}"


def _write_h5(path, arrays, metadata):
    """As Keras does, a group for each layer or `Sequential` of the model, in their order."""
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
    torch = require("torch", "checkpoints")
    torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)


def _write_wrapped(path, arrays, metadata):
    torch = require("torch", "checkpoints")
    torch.save({"model": {name: torch.from_numpy(array) for name, array in arrays.items()}, **metadata}, path)


def _write_safetensors(path, arrays, metadata):
    require("safetensors.numpy", "checkpoints").save_file(arrays, path, metadata={"format": "pt", **metadata})


WRITERS = {
    ".pth": ("torch", _write_torch),
    ".pt": ("torch", _write_torch),
    ".bin": ("torch", _write_torch),
    ".safetensors": ("safetensors", _write_safetensors),
    ".h5": (None, _write_h5),
}
"""What writes a file, by its suffix, and the package that it needs."""


def write_arrays(path, arrays, wrapped=False, metadata=None):
    """Writes arrays to a file, whole or not at all.

    Args:
        path: of the file. Its suffix, one of `WRITERS`, says what it is.
        arrays: dict of NumPy arrays by name, in order.
        wrapped: bool, whether torch's dict of arrays is the `"model"` of another, as the authors' scripts expect.
        metadata: dict of str, what is written beside the arrays where the format has a place for it. Defaults to none.

    Raises:
        ModuleNotFoundError: torch or safetensors is needed, and not installed.
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
