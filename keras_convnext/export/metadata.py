"""What an exported file says about its model: class names, image size, preset, licence. It is JSON in each format."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_convnext.export.formats import find_format
from keras_convnext.export.runtimes import failures
from keras_convnext.extras import require

KEY = "keras_convnext"
"""The key of the metadata in ONNX, OpenVINO and `.pt2` files."""

FILE = "keras_convnext.json"
"""The file of the metadata in a SavedModel's folder `assets.extra`, and in the archive that a LiteRT file ends with."""


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Reads what `export` wrote about a model into its file.

    Args:
        path: an exported file, or the folder of a SavedModel.

    Returns:
        A dict with these keys: `class_names` (a list, or None), `input` (its `name`, `layout`, `dtype`, `shape`, and
        the `range` of its values), `outputs` (their names), `preprocessing` (the settings of `ResizeAndCrop`, or None),
        `in_graph` (whether the file resizes and crops itself), `dtype`, `preset`, `license` and `version`.

    Raises:
        ValueError: the file was not written by `export`, or its ending is that of no format.
        ModuleNotFoundError: the package that reads the file is not installed.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.export import export, read_metadata
    >>> model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=2, input_shape=(32, 32, 3))
    >>> path = Path(tempfile.mkdtemp()) / "pets.onnx"
    >>> exported = export(model, path, class_names=["cat", "dog"])
    >>> read_metadata(path)["class_names"]
    ['cat', 'dog']
    """
    if not Path(path).exists():
        raise ValueError(f"No such file or folder: {path}")
    name = "tf_saved_model" if Path(path).is_dir() else find_format(path).name
    kinds: tuple[type[Exception], ...] = (KeyError, RuntimeError, OSError, zipfile.BadZipFile, *failures(name))
    try:
        text = READERS[name](str(path))
    except kinds as error:
        reason = " ".join(str(error).split()[:12])
        raise ValueError(f"{path}: no metadata of keras_convnext can be read ({reason}).") from error
    return json.loads(text)


def _onnx(path):
    onnxruntime = require("onnxruntime", extra="export")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.get_modelmeta().custom_metadata_map[KEY]


def _openvino(path):
    model = require("openvino", extra="export").Core().read_model(path)
    if not model.has_rt_info(KEY):
        raise KeyError(KEY)
    return model.get_rt_info(KEY).astype(str)


def _litert(path):
    with zipfile.ZipFile(path) as archive:
        return archive.read(FILE)


def _torch(path):
    import torch

    extra = {KEY: ""}
    torch.export.load(path, extra_files=extra)
    if not extra[KEY]:
        raise KeyError(KEY)
    return extra[KEY]


def _saved_model(path):
    return Path(path, "assets.extra", FILE).read_text()


READERS: dict[str, Callable[[str], str | bytes]] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "litert": _litert,
    "torch": _torch,
    "tf_saved_model": _saved_model,
}
