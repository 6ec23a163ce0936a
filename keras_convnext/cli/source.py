"""The model that a user names on the command line: a preset, a file of weights, or a run folder.

`load` loads the model. `find_source` also tells how to prepare images for it.
"""

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras

from keras_convnext.checkpoints import CHECKPOINTS, Checkpoint, ade20k_classes, imagenet_classes
from keras_convnext.cli.arguments import backend_errors
from keras_convnext.models import ConvNeXtClassifier, find_model, load_model_and_facts
from keras_convnext.models.image_input import image_axes, is_channels_first
from keras_convnext.preprocessing import ResizeAndCrop, preprocessor
from keras_convnext.segmentation import UPerNet
from keras_convnext.training import Run
from keras_convnext.training.tasks import TASKS, Classification, Segmentation, Task, task_of
from keras_convnext.variants import get_variant

FEATURES = "{}: these weights give features of images, not classes."
"""The refusal of weights without classes, such as CLIP's, whose outputs are an embedding."""


class NoClassesError(ValueError):
    """A model does not give the classes of images in 0..255, channels last."""


HELP = "a run folder, a file of weights, or the name of a checkpoint that `keras-convnext list` prints"


def load(source, variant=None, ema=False):
    """Loads the model that a name stands for, with channels last, and prints notes about it to stderr.

    Args:
        source, variant, ema: as for `models.load_model`.

    Returns:
        `models.LoadedModel`.
    """
    with backend_errors(), contextlib.redirect_stdout(sys.stderr):  # where a download shows its progress
        loaded = load_model_and_facts(source, variant, ema, data_format="channels_last")
    for note in loaded.notes:
        print(note, file=sys.stderr)
    return loaded


@dataclass(frozen=True)
class Source:
    """A model that is loaded when it is needed, and how to use it.

    Attributes:
        load: function without arguments that returns the model.
        class_names: tuple of str, the name of each output's class.
        channels: int, number of channels of the images.
        transform: `ResizeAndCrop`, which prepares an image for the model; None if it is not known.
        run: the `Run` to which the model belongs, or None.
        checkpoint: the published `Checkpoint` of the model, or None.
        task: the `Task` of the model.
    """

    load: Callable[[], keras.Model]
    class_names: tuple[str, ...]
    channels: int
    transform: ResizeAndCrop | None
    run: Run | None = None
    checkpoint: Checkpoint | None = None
    task: Task = TASKS[Classification.name]


def find_source(name, size=None):
    """Finds the model that a name on the command line stands for.

    Args:
        name: a run folder, a file, or a preset. A file in a run's folder has the run's class names and image size.
        size: int, side of the images in pixels, if it is not the model's own.

    Raises:
        ValueError: there is no such model, or its outputs are features.
    """
    named = find_model(name)
    if named.path is None:
        return _of_preset(name, named.variant, named.checkpoint, size)
    run = named.run and Run.open(named.run)
    if run and Path(name).is_dir():
        return _of_run(run, named.path, size)
    return _of_file(named.path, run, size)


def find_any_source(name, size=None):
    """Like `find_source`, but takes models without classes too: backbones, detectors without a run, and features.

    Returns:
        A `Source`. Its class names are empty, and its transform None, where a model has none.
    """
    named = find_model(name)
    if named.path is None:
        if named.checkpoint is None or named.checkpoint.is_classifier or named.checkpoint.is_segmenter:
            return find_source(name, size)
        return Source(lambda: load(name).model, (), 3, preprocessor(name, size), checkpoint=named.checkpoint)
    run = named.run and Run.open(named.run)
    if run and Path(name).is_dir():
        return _of_run(run, named.path, size)
    loaded = load(named.path)
    model = loaded.model
    try:
        return _of_loaded(named.path, run, size, loaded)
    except NoClassesError:
        height, width, channels = image_axes(model.input_shape[1:], is_channels_first(model))
        if size and height and (size, size) != (height, width):
            raise ValueError(f"--size {size}: the model takes images of {height} x {width} pixels.") from None
        return Source(lambda: model, (), channels, None)


def _of_run(run, path, size):
    """The model in a run's folder, which is loaded when it is needed."""

    def load_fitting():
        model = load(path).model
        if problem := _misfit(model, run.config):
            raise ValueError(f"{path}: {problem}; config.json in the run folder is of another model.")
        return model

    return _as_in_run(run, load_fitting, size)


def _as_in_run(run, load, size):
    if size:
        raise ValueError(f"--size {size}: a run determines the size of its images.")
    height, width, channels = run.config["image_shape"]
    return Source(
        load,
        tuple(run.config["class_names"]),
        channels,
        ResizeAndCrop(height, width),
        run=run,
        task=task_of(run.config),
    )


def _misfit(model, config):
    """How a model differs from the one that a run's configuration describes; empty if it does not."""
    classes, shape = len(config["class_names"]), tuple(config["image_shape"])
    if task_of(config).name == Classification.name and model.output_shape[1:] != (classes,):
        return f"gives outputs of shape {model.output_shape[1:]}, and the run has {classes} classes"
    takes = model.input_shape[1:]
    if len(takes) != 3 or any(side not in (None, given) for side, given in zip(takes, shape, strict=True)):
        return f"takes images of shape {takes}, and the run has those of {shape}"
    return ""


def _of_preset(name, variant, checkpoint, size):
    if checkpoint is None:
        weights = [other.name for other in CHECKPOINTS.values() if other.variant == variant and other.is_classifier]
        hint = f"weights of it are {', '.join(weights)}" if weights else "there are no published weights of it"
        raise ValueError(f"{name}: an architecture, without weights; {hint}.")
    if not checkpoint.is_classifier and not checkpoint.is_segmenter:
        raise ValueError(FEATURES.format(name))
    row = get_variant(variant)
    _check_size(size, row.stem_patch_size * 2 ** (len(row.depths) - 1))
    if checkpoint.is_segmenter:
        return _segmenter(lambda: load(name).model, checkpoint.num_classes, size or checkpoint.image_size, checkpoint)
    return Source(
        load=lambda: load(name).model,
        class_names=_class_names(checkpoint.num_classes),
        channels=3,
        transform=preprocessor(name, size),
        checkpoint=checkpoint,
    )


def _of_file(path, run, size):
    return _of_loaded(path, run, size, load(path))


def _of_loaded(path, run, size, loaded):
    """The model in a file. Its run, its published checkpoint or the authors' rule say how images are prepared."""
    model, variant = loaded.model, loaded.variant
    if run and not _misfit(model, run.config):
        return _as_in_run(run, lambda: model, size)
    if isinstance(model, UPerNet):
        height, width, _ = model.input_shape[1:]
        if size and height and (size, size) != (height, width):
            raise ValueError(f"--size {size}: the model takes images of {height} x {width} pixels.")
        return _segmenter(lambda: model, model.num_classes, size or height or TASKS[Segmentation.name].files_size)
    if not getattr(model, "num_classes", 0) or not isinstance(model, ConvNeXtClassifier):
        raise NoClassesError(
            f"{path}: expected a classifier, a UPerNet or a run folder. Found: a {type(model).__name__}"
        )
    backbone = model.backbone
    published = CHECKPOINTS.get(backbone.preset)
    checkpoint = published if published and published.num_classes == model.num_classes else None
    if checkpoint and not checkpoint.is_classifier:
        raise NoClassesError(FEATURES.format(path))
    if model.global_pool is None:
        raise NoClassesError(
            f"{path}: this model gives the classes of each pixel of a feature map, not those of an image. Expected one "
            f'that pools, such as model.reset_classifier({model.num_classes}, global_pool="avg") makes for training.'
        )
    if not backbone.include_preprocessing or backbone.data_format != "channels_last":
        raise NoClassesError(
            f"{path}: expected a model that takes images in 0..255, channels last, and normalizes them."
        )
    height, width, channels = model.input_shape[1:]
    if size and height and (size, size) != (height, width):
        raise ValueError(f"--size {size}: the model takes images of {height} x {width} pixels.")
    _check_size(size, backbone.stride)
    if height != width or (height and not published):
        transform = ResizeAndCrop(height, width)
    else:
        transform = preprocessor(published.name if published else variant or "convnext_tiny", size or height)
    return Source(lambda: model, _class_names(model.num_classes), channels, transform, checkpoint=checkpoint)


def _segmenter(load_model, num_classes, side, checkpoint=None):
    """A UPerNet without a run. If it has as many classes as ADE20K, they are ADE20K's."""
    names = tuple(one.name for one in ade20k_classes())
    return Source(
        load=load_model,
        class_names=names if num_classes == len(names) else _class_names(num_classes),
        channels=3,
        transform=ResizeAndCrop(side, side),
        checkpoint=checkpoint,
        task=TASKS[Segmentation.name],
    )


def _check_size(size, stride):
    if size and size < stride:
        raise ValueError(f"--size {size}: images must have {stride} pixels or more, the network's stride.")


def _class_names(count):
    """The class names of ImageNet-1k for 1000 classes, else numbers."""
    if count == 1000:
        return tuple(one.name for one in imagenet_classes())
    return tuple(f"class {number}" for number in range(count))
