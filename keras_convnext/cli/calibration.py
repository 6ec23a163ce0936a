"""The images with which `keras-convnext export --quantize int8` calibrates, from the data that a user names."""

from pathlib import Path

import numpy as np

from keras_convnext.cli.image_files import split_readable
from keras_convnext.cli.labelled_images import load_run_data, load_source_data
from keras_convnext.data import read_image
from keras_convnext.data.image_files import find_images
from keras_convnext.training.tasks import Classification

CALIBRATION_IMAGES = 500
"""The most images that are used: more hardly change the scales."""


def calibration_images(source, transform, args):
    """Loads images for a model, spread over a data set, and their labels if there are any.

    Args:
        source: `Source` of the model, a classifier or UPerNet.
        transform: `ResizeAndCrop` of the model.
        args: the parsed arguments, of which `calibrate`, `skip_unreadable` and `json` are used.

    Returns:
        `(images, labels)`: float32 of shape `(images, height, width, channels)` in 0..255, and integers or None.

    Raises:
        ValueError: no data were named, or they do not fit the model.
    """
    if transform is None:
        raise ValueError("--quantize int8: the model has no classes, or how images are prepared for it is not known.")
    if args.calibrate is None and source.run is None:
        raise ValueError("--quantize int8 needs --calibrate: digits, FILE.npz or FOLDER.")
    folder = None if args.calibrate is None else Path(args.calibrate)
    if folder is not None and folder.is_dir() and (files := _directly_in(folder)):
        files, _ = split_readable(_some(files), source.channels, args.skip_unreadable)
        return _prepared([read_image(file, source.channels) for file in files], transform), None
    verbose = not args.json
    if source.run is not None:
        data = load_run_data(source.run.config, args.calibrate, args.skip_unreadable, verbose)
    else:
        data = load_source_data(source, args.calibrate, args.skip_unreadable, verbose)
    images = data.train
    images = images.take(_places(len(images)))
    prepared = _prepared([read_image(one, source.channels) for one in images.pixels], transform)
    return prepared, np.asarray(images.labels) if source.task.name == Classification.name else None


def _directly_in(folder):
    """The images in a folder that are in no sub-folder, which is how a folder without labels has them."""
    images, _ = find_images(folder)
    return [str(file) for file in images if file.parent == folder]


def _some(files):
    return [files[place] for place in _places(len(files))]


def _places(count):
    """Evenly spread indices, at most `CALIBRATION_IMAGES`, in an order that does not follow the classes."""
    places = np.unique(np.linspace(0, count - 1, min(count, CALIBRATION_IMAGES)).round().astype(int))
    return np.random.default_rng(0).permutation(places)


def _prepared(images, transform):
    return np.stack([transform(image) for image in images]).astype("float32")
