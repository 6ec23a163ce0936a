"""Loading a classifier from a `.keras` file, with errors that say what is wrong with the file."""

import json
import zipfile
import zlib
from pathlib import Path

import keras

from keras_convnext.models.classifier import ConvNeXtClassifier


def load_classifier(path):
    """Loads a `ConvNeXtClassifier` that was saved with `model.save`, on any backend.

    Args:
        path: of a `.keras` file.

    Returns:
        The model, compiled as it was when it was saved.

    Raises:
        ValueError: no such file, a file that is cut off or altered, or another kind of model.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "model.keras"
    >>> ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10).save(path)
    >>> load_classifier(path).num_classes
    10
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file.")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            config = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, KeyError, ValueError, OSError) as error:
        raise ValueError(f"{path}: not a .keras file, or one that is cut off or damaged ({error}).") from error
    if damaged:
        raise ValueError(f"{path}: {damaged} in it is damaged.")
    kind = isinstance(config, dict) and (config.get("registered_name") or config.get("class_name"))
    if kind != keras.saving.get_registered_name(ConvNeXtClassifier):
        raise ValueError(f"{path}: expected a ConvNeXtClassifier, got {kind}.")
    try:
        return keras.saving.load_model(path)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ValueError(f"{path}: not the weights or the configuration of its model ({error}).") from error
