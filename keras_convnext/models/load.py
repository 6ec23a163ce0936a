"""Loading a classifier from a `.keras` file, with errors that say what is wrong with the file."""

import zipfile
from pathlib import Path

import keras

from keras_convnext.models.classifier import ConvNeXtClassifier

_MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}


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
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: not a .keras file, or one that is cut off.")
    with zipfile.ZipFile(path) as archive:
        if not set(archive.namelist()) >= _MEMBERS:
            raise ValueError(
                f"{path}: not a .keras file: {', '.join(sorted(_MEMBERS - set(archive.namelist())))} missing."
            )
        damaged = archive.testzip()
    if damaged:
        raise ValueError(f"{path}: {damaged} in it is damaged.")
    model = keras.saving.load_model(path)
    if not isinstance(model, ConvNeXtClassifier):
        raise ValueError(f"{path}: expected a ConvNeXtClassifier, got a {type(model).__name__}.")
    return model
