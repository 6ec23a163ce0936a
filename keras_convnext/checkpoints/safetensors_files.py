"""Safetensors files: reading and writing their arrays by name."""

import numpy as np

from keras_convnext.checkpoints.errors import CheckpointFileError, DamagedFileError, first_line
from keras_convnext.checkpoints.widened import WIDENED
from keras_convnext.extras import require

STORED_AS = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "uint16",
    "F8_E4M3": "uint8",
    "F8_E5M2": "uint8",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
"""For each type that is read, NumPy's type of the same size."""

WIDENED_AS = {"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
"""The names in `WIDENED` of the types that NumPy does not have."""


def read_safetensors(path):
    """Reads the arrays of a file by name. Types that NumPy does not have become float32."""
    safetensors = require("safetensors", "checkpoints")
    try:
        entries = safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError as error:
        raise DamagedFileError(f"{path}: cut off or damaged ({first_line(error)}).") from error
    return {name: _array(path, name, entry) for name, entry in entries}


def write_safetensors(path, arrays, metadata):
    """Writes arrays by name, and strings by name as the metadata."""
    require("safetensors.numpy", "checkpoints").save_file(arrays, path, metadata={"format": "pt", **metadata})


def _array(path, name, entry):
    dtype = entry["dtype"]
    if dtype not in STORED_AS:
        raise CheckpointFileError(f"{path}: {name} is of type {dtype}; expected one of {', '.join(STORED_AS)}.")
    array = np.frombuffer(entry["data"], STORED_AS[dtype]).reshape(entry["shape"]).copy()
    return WIDENED[WIDENED_AS[dtype]](array) if dtype in WIDENED_AS else array
