"""Labelled images for a model: loaded, and held against the channels and the classes that it has."""

from dataclasses import replace

import numpy as np

from keras_convnext.checkpoints import imagenet_classes
from keras_convnext.data import Images, load_data


def load_run_data(config, source=None, skip_unreadable=False, verbose=True):
    """Loads the data that a run's `config.json` names, or another source of the same classes and channels.

    Raises:
        ValueError: other classes, or images of another number of channels; and as `load_data`.
    """
    source = source or config["data"]
    data = load_data(source, skip_unreadable or config["skip_unreadable"], verbose)
    if list(data.class_names) != config["class_names"]:
        raise ValueError(f"{source}: its classes {data.class_names} are not the run's {tuple(config['class_names'])}.")
    channels = 3 if data.train.are_files else data.train.pixels.shape[-1]
    if channels != config["image_shape"][-1]:
        raise ValueError(f"{source}: images of {channels} channels; the run's model takes {config['image_shape'][-1]}.")
    return data


def load_source_data(source, data, skip_unreadable=False, verbose=True):
    """Loads a data set, with the labels that a model has for its classes.

    Args:
        source: `Source` of the model.
        data: `digits`, an `.npz` file or a folder.
        skip_unreadable, verbose: as for `load_data`.

    Raises:
        ValueError: classes that are not the model's, or images of another number of channels; and as `load_data`.
    """
    if not data:
        raise ValueError("--data is needed: a folder of images, with a sub-folder a class, or an .npz file.")
    loaded = load_data(data, skip_unreadable, verbose)
    channels = 3 if loaded.train.are_files else loaded.train.pixels.shape[-1]
    if channels != source.channels:
        raise ValueError(f"{data}: images of {channels} channels; the model takes {source.channels}.")
    labels = _labels(data, loaded.class_names, source.class_names)
    parts = {
        part: images and Images(images.pixels, labels[images.labels], source.class_names)
        for part, images in (("train", loaded.train), ("validation", loaded.validation), ("test", loaded.test))
    }
    return replace(loaded, **parts)


def _labels(data, given, class_names):
    """The model's label for each class of the data: by ImageNet's id, by name, or else by its place."""
    by_name = {name: label for label, name in enumerate(class_names)}
    if len(class_names) == 1000:
        by_name |= {one.id: label for label, one in enumerate(imagenet_classes())}
    unknown = [name for name in given if name not in by_name]
    if not unknown:
        return np.array([by_name[name] for name in given])
    if len(given) == len(class_names):
        return np.arange(len(given))
    raise ValueError(
        f"{data}: {len(unknown)} of its {len(given)} classes are none of the model's {len(class_names)}, such as "
        f"{unknown[0]!r}; the model's are called {class_names[0]!r}, {class_names[1]!r}."
    )
