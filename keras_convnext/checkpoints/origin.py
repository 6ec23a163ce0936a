"""The origin of weights: the preset under which they were published, and their licence."""

import json
import zipfile
from pathlib import Path
from typing import NamedTuple

import keras

from keras_convnext.checkpoints.download import published_as

FREE_LICENSES = ("MIT", "Apache-2.0", "BSD-3-Clause")
"""The licences in the catalog that allow any use."""


class Origin(NamedTuple):
    """The name of a preset and a licence; None if unknown."""

    preset: str | None = None
    license: str | None = None


def origin_of(path: str | Path) -> Origin:
    """Finds the origin of the weights in a file.

    `.keras` and safetensors files that `model.save` and `save_checkpoint` wrote contain it. For other files it follows
    from the name under which the checkpoint was published.

    Args:
        path: path of a file that `read_arrays` reads.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.checkpoints import origin_of
    >>> path = Path(tempfile.mkdtemp()) / "model.keras"
    >>> ConvNeXtClassifier.from_preset("convnext_mini", license="MIT").save(path)
    >>> origin_of(path).license
    'MIT'
    """
    path = Path(path)
    if zipfile.is_zipfile(path):
        if config := backbone_config(path):
            return Origin(config.get("preset"), config.get("license"))
    elif (metadata := _safetensors_metadata(path)) is not None and metadata.keys() & set(Origin._fields):
        return Origin(metadata.get("preset"), metadata.get("license"))
    entry = published_as(path)
    return Origin(entry.name, entry.license) if entry else Origin()


def backbone_config(path: str | Path) -> dict:
    """The configuration of the backbone in a `.keras` file, a dict; empty for other files."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if "config.json" in archive.namelist():
                config = json.loads(archive.read("config.json"))["config"]
                backbone = config.get("backbone", {}).get("config", config)
                return backbone if "depths" in backbone else {}
    return {}


def set_origin(model: keras.Model, origin: Origin) -> None:
    """Puts an origin into the configuration of a model's backbone, so that it is saved with the model."""
    backbone = getattr(model, "backbone", model)
    backbone.preset, backbone.license = origin


def restriction(license: str | None) -> str:
    """The warning about the licence of weights; empty if the licence allows any use, or is unknown.

    Args:
        license: an SPDX identifier or another name, as in `Checkpoint`; None if it is unknown.

    Example:

    >>> from keras_convnext.checkpoints import restriction
    >>> restriction("CC-BY-NC-4.0")
    'These weights are under CC-BY-NC-4.0, which restricts their use, and that of models made from them.'
    >>> restriction("MIT")
    ''
    """
    if license in (None, *FREE_LICENSES):
        return ""
    return f"These weights are under {license}, which restricts their use, and that of models made from them."


def _safetensors_metadata(path):
    """The metadata at the start of a safetensors file; None for other files."""
    with path.open("rb") as file:
        start = file.read(9)
        if start[4:] != b"\0\0\0\0{":
            return None
        header = file.read(int.from_bytes(start[:8], "little") - 1)
    try:
        return json.loads(b"{" + header).get("__metadata__", {})
    except ValueError:
        return None
