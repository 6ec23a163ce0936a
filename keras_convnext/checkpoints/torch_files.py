"""Files that `torch.save` wrote: finding the weights in what a training script saved.

Files of torch 1.6 and later are zip archives and are read with NumPy alone. Earlier ones, and those saved with
`_use_new_zipfile_serialization=False`, are read with torch.
"""

import argparse
import pickle
import struct
import zipfile
import zlib

from keras_convnext.checkpoints.errors import CheckpointFileError, DamagedFileError, first_line
from keras_convnext.checkpoints.torch_pickle import Tensor, UnreadTensor
from keras_convnext.checkpoints.torch_zip import TorchZip
from keras_convnext.extras import require

WRAPPERS = ("model", "state_dict", "module")
"""The keys under which training scripts save the weights beside the optimizer, in order of preference."""

EMA_WRAPPERS = ("model_ema", "state_dict_ema")
"""The keys of the moving average of the weights, in the authors' scripts and timm's."""

PREFIXES = ("module.", "_orig_mod.")
"""The prefixes that DistributedDataParallel and `torch.compile` add to all names."""

SAFE_TORCH = (2, 6)
"""The first torch whose `weights_only=True` is safe (CVE-2025-32434)."""

DAMAGED = (
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
"""The errors that reading damaged bytes can raise."""


def read_torch(path, ema=False):
    """Reads the weights in a torch file.

    Args:
        path: `pathlib.Path` of the file.
        ema: whether to read the moving average that a training script saved beside the weights. Defaults to False.

    Returns:
        A dict of NumPy arrays by name, floating-point ones as float32.

    Raises:
        ValueError: the file is truncated or damaged, has no weights, or has other objects than tensors, of which no
            code is run; or it has no moving average although `ema` is True.
        ModuleNotFoundError: the file is not a zip archive, and torch is not installed.
    """
    try:
        return _read_zip(path, ema) if zipfile.is_zipfile(path) else _read_legacy(path, ema)
    except pickle.UnpicklingError as error:
        raise DamagedFileError(
            f"{path}: refused: it is damaged, or holds other objects than tensors, which could run code. "
            f"{first_line(error)}"
        ) from error
    except CheckpointFileError:
        raise
    except DAMAGED as error:
        if "allocate memory" in str(error):
            raise
        raise DamagedFileError(f"{path}: cut off or damaged ({first_line(error)}).") from error


def _read_zip(path, ema):
    with zipfile.ZipFile(path) as archive:
        file = TorchZip(archive)
        tensors = _weights(path, file.content, (Tensor, UnreadTensor), ema)
        for name, tensor in tensors.items():
            if isinstance(tensor, UnreadTensor):
                raise CheckpointFileError(f"{path}: expected an array of numbers, got {tensor.name} in {name}.")
        arrays = {name: file.array(tensor) for name, tensor in tensors.items()}
        file.check_rest()
        return arrays


def _read_legacy(path, ema):
    torch = _safe_torch(path)
    with torch.serialization.safe_globals([argparse.Namespace]), open(path, "rb") as file:
        loaded = torch.load(file, map_location="cpu", weights_only=True)  # given a path, torch decides by its suffix
    tensors = {name: value.detach() for name, value in _weights(path, loaded, torch.Tensor, ema).items()}
    return {name: (value.float() if value.is_floating_point() else value).numpy() for name, value in tensors.items()}


def _safe_torch(path):
    try:
        torch = require("torch", "checkpoints")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{path}: not a zip archive, but in the format of torch before 1.6. {error}. Or save it again where "
            "torch is installed: torch.save(torch.load(path, weights_only=True), other).",
            name=error.name,
        ) from error
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < SAFE_TORCH:
        needed = ".".join(map(str, SAFE_TORCH))
        raise CheckpointFileError(
            f"{path}: files in the format of torch before 1.6 need torch {needed} or later to be read safely. "
            f"Got {torch.__version__}."
        )
    return torch


def _weights(path, content, kinds, ema):
    """The tensors by name in the saved object."""
    if not isinstance(content, dict):
        raise CheckpointFileError(f"{path}: expected a dict of tensors, got {type(content).__name__}.")
    wrappers = EMA_WRAPPERS if ema else WRAPPERS
    found = next((content[wrapper] for wrapper in wrappers if isinstance(content.get(wrapper), dict)), content)
    if ema and found is content:
        raise CheckpointFileError(
            f"{path}: expected a moving average, as one of {', '.join(wrappers)}; got {[*content][:5]}."
        )
    tensors = {name: value for name, value in found.items() if isinstance(name, str) and isinstance(value, kinds)}
    if not tensors:
        raise CheckpointFileError(f"{path}: expected a dict of tensors by name, got one with {[*found][:5]}.")
    while prefix := next((prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in tensors)), None):
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors
