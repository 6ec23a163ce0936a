"""Reading the arrays of a checkpoint file by name. The first bytes of a file show of which kind it is."""

from pathlib import Path

import numpy as np

from keras_convnext.checkpoints.errors import DamagedFileError
from keras_convnext.checkpoints.h5_files import read_h5
from keras_convnext.checkpoints.keras_files import is_keras, read_keras
from keras_convnext.checkpoints.safetensors_files import read_safetensors
from keras_convnext.checkpoints.torch_files import read_torch
from keras_convnext.extras import require

READ_WITH = {".safetensors": "safetensors"}
"""The package that reads files with a suffix. Torch files need none, except those from before torch 1.6."""


def read_arrays(path: str | Path, ema: bool = False) -> dict[str, np.ndarray]:
    """Reads the arrays of a checkpoint file of torch, safetensors, Keras (`.keras`) or keras.applications (`.h5`).

    Args:
        path: path of the file.
        ema: whether to read the moving average that a training script saved beside the weights. Defaults to False.

    Returns:
        A dict of NumPy arrays by their names in the file; for a `.keras` file, by weight path.

    Raises:
        ValueError: the file does not exist, is a folder, or is truncated, damaged or of another kind; it is a torch
            file with other objects than tensors, of which no code is run; or it has no moving average although `ema` is
            True.
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
        return read_h5
    if start[4:] == b"\0\0\0\0{":  # the length of the JSON that begins
        return read_safetensors
    if start.startswith(b"PK\x03\x04"):
        return read_keras if is_keras(path) else read_torch
    if start.startswith(b"\x80"):  # a pickle
        return read_torch
    raise DamagedFileError(
        f"{path}: expected a file of torch (.pth), safetensors, Keras (.keras) or keras.applications (.h5); it begins "
        f"with {start!r}."
    )
