"""Whose weights a file holds: the preset that they were published as, and their licence."""

import json
import zipfile
from pathlib import Path
from typing import NamedTuple

from keras_convnext.checkpoints.download import published_as

FREE_LICENSES = ("MIT", "Apache-2.0", "BSD-3-Clause")
"""Of those in the catalog, which allow any use."""


class Origin(NamedTuple):
    """A preset's name and a licence; None where they are not known."""

    preset: str | None = None
    license: str | None = None


def origin_of(path):
    """The origin of the weights in a file.

    It is told by what `model.save` and `save_checkpoint` put into `.keras` and safetensors files, and else by the name
    under which the file was published.

    Args:
        path: of a file that `read_arrays` reads.

    Returns:
        `Origin`.
    """
    path = Path(path)
    if zipfile.is_zipfile(path):
        if config := backbone_config(path):
            return Origin(config.get("preset"), config.get("license"))
    elif (metadata := _safetensors_metadata(path)) is not None and metadata.keys() & set(Origin._fields):
        return Origin(metadata.get("preset"), metadata.get("license"))
    entry = published_as(path)
    return Origin(entry.name, entry.license) if entry else Origin()


def backbone_config(path):
    """The configuration of the backbone in a `.keras` file, a dict; empty of another file."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if "config.json" in archive.namelist():
                config = json.loads(archive.read("config.json"))["config"]
                backbone = config.get("backbone", {}).get("config", config)
                return backbone if "depths" in backbone else {}
    return {}


def set_origin(model, origin):
    """Notes an origin in the configuration of a model's backbone: it goes with what is saved."""
    backbone = getattr(model, "backbone", model)
    backbone.preset, backbone.license = origin


def restriction(license):
    """What to tell a user of weights under a licence; empty where it allows any use, or is not known."""
    if license in (None, *FREE_LICENSES):
        return ""
    return f"These weights are under {license}, which restricts their use, and that of models made from them."


def _safetensors_metadata(path):
    """The metadata at the start of a safetensors file; None of another file."""
    with path.open("rb") as file:
        start = file.read(9)
        if start[4:] != b"\0\0\0\0{":
            return None
        header = file.read(int.from_bytes(start[:8], "little") - 1)
    try:
        return json.loads(b"{" + header).get("__metadata__", {})
    except ValueError:
        return None
