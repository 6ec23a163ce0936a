"""The `.h5` files of keras.applications: reading and writing their arrays by name."""

import re

import h5py
import keras
import numpy as np

from keras_convnext.checkpoints.errors import DamagedFileError, first_line


def read_h5(path):
    """Reads the arrays by `LAYER/WEIGHT`, without the model's name in front."""
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


def write_h5(path, arrays, metadata):
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


def _within(group, name):
    """A member of a group. Raises KeyError if it is in another file, as links and external datasets can be."""
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

    The name of a weight within a `Sequential` contains its layer. Keras 2 named the weights of layer scales `Variable`.
    In files without the top, the last norm has a generic name.
    """
    *owners, name = weight.removesuffix(":0").split("/")
    owner = owners[-1] if owners else layer
    owner = "head_layernorm" if re.fullmatch(r"layer_normalization(_\d+)?", owner) else owner
    return f"{layer}/gamma" if layer.endswith("layer_scale") else f"{owner}/{name}"


def _sequential(layer):
    """The `Sequential` that contains a layer of keras.applications, or the layer if none does."""
    if layer.startswith("stem_"):
        return "stem"
    if layer.startswith("downsampling_"):
        return f"downsampling_block_{layer.rpartition('_')[2]}"
    return layer
