"""Loading a model from a `.keras` file, with errors that say what is wrong with the file."""

import json
import zipfile
import zlib
from pathlib import Path

import keras

from keras_convnext.checkpoints import with_keras_suffix
from keras_convnext.models.backbone import ConvNeXtBackbone
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
    >>> from pathlib import Path
    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.models import load_classifier
    >>> path = Path(tempfile.mkdtemp()) / "model.keras"
    >>> ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10).save(path)
    >>> load_classifier(path).num_classes
    10
    """
    return load_saved(path, (ConvNeXtClassifier,))


def load_trained(path):
    """The same of what `fit` trains: a `ConvNeXtClassifier`, or a functional model such as `roadmap.build` makes."""
    return load_saved(path, (ConvNeXtClassifier, keras.Model))


def load_saved(path, kinds=(ConvNeXtClassifier, ConvNeXtBackbone)):
    """The same of a model of one of several classes, by default a classifier or a backbone.

    `keras.Model` among them stands for a functional model of no class of its own.
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
    if kind not in ["Functional" if one is keras.Model else keras.saving.get_registered_name(one) for one in kinds]:
        raise ValueError(f"{path}: expected a {' or '.join(one.__name__ for one in kinds)}, got {kind}.")
    try:
        with with_keras_suffix(path) as called:
            return keras.saving.load_model(called)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ValueError(f"{path}: not the weights or the configuration of its model ({error}).") from error
