"""Loads labelled images for a model, and checks them against its channels and classes."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from keras_convnext.checkpoints import imagenet_classes
from keras_convnext.data import load_data
from keras_convnext.data.folder import part_folders
from keras_convnext.data.image_files import describe_left_out
from keras_convnext.data.load import is_name
from keras_convnext.training.run import check_run_data
from keras_convnext.training.tasks import Classification, task_of


def load_run_data(config, source=None, skip_unreadable=False, verbose=True):
    """Loads the data that a run's `config.json` names, or another source of the same classes and channels.

    Raises:
        ValueError: other classes, or images of another number of channels; and as for `load_data`.
    """
    source = config.get("data") if source is None else source
    if source is None:
        raise ValueError("--data is needed: the run's config.json does not name what it was trained with.")
    task, skip_unreadable = task_of(config), skip_unreadable or config.get("skip_unreadable", False)
    if task.name == Classification.name:
        source = _scored_folder(source)
        data = _load(source, skip_unreadable, verbose)
    else:
        data = task.load_data(source, skip_unreadable, verbose)
    check_run_data(config, source, data)
    return data


def load_source_data(source, data, skip_unreadable=False, verbose=True):
    """Loads a data set, and converts its labels to those that a model has for the classes.

    Args:
        source: `Source` of the model.
        data: `digits`, an `.npz` file or a folder, which may have validation or test images without training images,
            such as ImageNet's with `val` alone; for a segmentation model, what `data.load_annotated` takes.
        skip_unreadable, verbose: as for `load_data`.

    Raises:
        ValueError: classes that are not the model's, or images of another number of channels; and as for `load_data`.
    """
    if data is None:
        raise ValueError("--data is needed: a folder of images, with a sub-folder per class, or an .npz file.")
    if source.task.name != Classification.name:
        annotated = source.task.load_data(data, skip_unreadable, verbose)
        if len(annotated.class_names) != len(source.class_names):
            raise ValueError(
                f"{data}: {len(annotated.class_names)} classes; the model has {len(source.class_names)}, ADE20K's."
            )
        return annotated
    data = _scored_folder(data)
    loaded = _load(data, skip_unreadable, verbose)
    if loaded.channels != source.channels:
        raise ValueError(f"{data}: images of {loaded.channels} channels; the model takes {source.channels}.")
    labels = _labels(data, loaded.class_names, source.class_names)
    parts = {
        part: images and replace(images, labels=labels[images.labels], class_names=source.class_names)
        for part, images in (("train", loaded.train), ("validation", loaded.validation), ("test", loaded.test))
    }
    return replace(loaded, **parts)


def _load(source, skip_unreadable, verbose):
    """Calls `load_data`, and prints what is left out even if it shows no progress, as for JSON."""
    data = load_data(source, skip_unreadable, verbose)
    if data.left_out and not verbose:
        print(describe_left_out(data.left_out, source), file=sys.stderr)
    return data


def _scored_folder(source):
    """The source; for a folder with parts but no training images, the folder of its validation or test images."""
    if is_name(source) or not Path(source).is_dir():
        return source
    folders = part_folders(Path(source))
    if not folders or "train" in folders:
        return source
    return str(folders.get("validation") or folders["test"])


def _labels(data, given, class_names):
    """The model's label for each class of the data: by ImageNet's id, by name, by number, or all by their place."""
    by_name = {name: label for label, name in enumerate(class_names)}
    if len(class_names) == 1000:
        by_name |= {one.id: label for label, one in enumerate(imagenet_classes())}
    by_name |= {str(label): label for label in range(len(class_names)) if str(label) not in by_name}
    unknown = [name for name in given if name not in by_name]
    if not unknown:
        return np.array([by_name[name] for name in given])
    if len(given) == len(unknown) == len(class_names):
        print(f"{data}: its classes are taken to be the model's in their order: {_some(given)}.", file=sys.stderr)
        return np.arange(len(given))
    ids = " (or WordNet's ids, such as 'n01440764')" if len(class_names) == 1000 else ""
    raise ValueError(
        f"{data}: {len(unknown)} of its {len(given)} classes are not among the model's {len(class_names)}: "
        f"{_some(unknown)}. Expected names such as {_some(class_names)}{ids}."
    )


def _some(names):
    return ", ".join(map(repr, names[:3])) + (" ..." if len(names) > 3 else "")
