"""Builds a training from an experiment: loads data, model and recipe, and checks that they fit each other."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import keras

from keras_convnext.data import load_data, with_validation
from keras_convnext.data.load import is_name
from keras_convnext.extras import BACKENDS, BACKENDS_IN_WORDS, require
from keras_convnext.models import ConvNeXtClassifier, find_model, load_model, transfer, variant_of
from keras_convnext.training.chosen_recipe import SIZED, adapted_recipe, choose_recipe, with_learning_rate
from keras_convnext.training.data_size import check_training, explain_average, explain_data_size, for_data_size
from keras_convnext.training.dataset import check_batch_size, training_batches
from keras_convnext.training.prepared import PreparedTraining
from keras_convnext.training.run_paths import refuse_existing, run_name
from keras_convnext.variants import stem_for, variant_for
from keras_convnext.version import __version__

if TYPE_CHECKING:
    from keras_convnext.training.experiment import Experiment

FILES_SIZE = 224
"""The side in pixels to which image files are resized by default."""


class Start(NamedTuple):
    """Where a training starts.

    Attributes:
        make: makes the model from `num_classes`, `input_shape`, `data_format` and the recipe's arguments.
        variant: a name in `VARIANTS`, or None for a model from a file that is none of them.
        name: the part of the run's name that stands for the model.
        channels: number of channels that a model from a file takes, else None.
    """

    make: Callable
    variant: str | None
    name: str
    channels: int | None = None


def build(experiment: "Experiment") -> PreparedTraining:
    """Loads the data, makes the model and compiles it.

    Args:
        experiment: an `Experiment`.

    Raises:
        ValueError: `output` exists, the checkpoint or the data cannot be read, or they do not fit each other.
        ModuleNotFoundError: a package is missing; the message names the extra that brings it.
    """
    check_backend()
    if experiment.tensorboard:
        require_tensorboard()
    if experiment.output is not None:
        refuse_existing(experiment.output)
    chosen = choose_recipe(experiment.chosen_recipe)
    start = _from_checkpoint(experiment.checkpoint) if experiment.checkpoint else None
    data = load_data(experiment.data, experiment.skip_unreadable)
    shape = _image_shape(data.train, experiment.size, chosen.recipe.with_settings(chosen.changes).image_size)
    if start is None:
        start = _from_variant(experiment, shape)
    if start.channels not in (None, shape[-1]):
        raise ValueError(
            f"{experiment.checkpoint}: the model takes images of {start.channels} channels; the data have {shape[-1]}."
        )
    asked = adapted_recipe(chosen, experiment, start.variant, shape[:2])
    check_training(asked, data)
    samples_validation = data.validation is None
    data = with_validation(data, asked.seed)
    fixed = {*chosen.fixed, *(name for name in SIZED if getattr(experiment, name) is not None)}
    recipe = for_data_size(asked, len(data.train), tuple(fixed))
    has_base = not isinstance(experiment.recipe, dict) or "base" in experiment.recipe
    if has_base:  # otherwise the caller wrote the whole recipe, and the error of its `dataset` says more
        check_batch_size(recipe.batch_size, len(data.train), "" if recipe.min_updates is None else ", or none")
    notes = explain_data_size(asked, recipe, len(data.train)), explain_average(recipe, len(data.train))
    recipe = with_learning_rate(recipe, experiment.learning_rate)
    keras.utils.set_random_seed(recipe.seed)
    model = start.make(
        num_classes=len(data.class_names),
        input_shape=shape,
        data_format="channels_last",  # as the images are, whatever keras.json says
        **recipe.model_arguments,
    )
    if experiment.freeze is not None:
        _freeze(model, experiment.freeze)
    batches = training_batches(recipe, model, data.train)  # refuses images that it cannot augment, or asks for Pillow
    recipe.compile(model, steps_per_epoch=len(batches))  # refuses rules that do not fit this model
    batches.close()
    return PreparedTraining(
        model=model,
        data=data,
        recipe=recipe,
        name=start.variant if not experiment.checkpoint else experiment.checkpoint,
        settings={
            "data": experiment.data if is_name(experiment.data) else str(Path(experiment.data).resolve()),
            "variant": None if experiment.checkpoint else start.variant,
            "stem": None if experiment.checkpoint else model.backbone.stem_patch_size,
            "checkpoint": _absolute(experiment.checkpoint),
            "freeze": experiment.freeze,
            "skip_unreadable": experiment.skip_unreadable,
            "tensorboard": experiment.tensorboard,
            "keras_convnext": __version__,
        },
        output=experiment.output,
        run_name=run_name(experiment.data, start.name),
        notes=tuple(filter(None, notes)),
        samples_validation=samples_validation,
    )


def check_backend() -> None:
    """Refuses a backend of Keras that is only for inference.

    Raises:
        ValueError: the backend cannot train.
    """
    if keras.backend.backend() not in BACKENDS:
        raise ValueError(
            f"Keras's {keras.backend.backend()} backend cannot train: set KERAS_BACKEND to {BACKENDS_IN_WORDS}."
        )


def require_tensorboard() -> None:
    """Imports the packages that write logs for TensorBoard.

    Raises:
        ModuleNotFoundError: one of them is not installed.
    """
    for package in ("tensorflow", "tensorboard"):
        require(package, extra="tensorboard")


def _from_variant(experiment, shape):
    """A randomly initialized model of a variant. Variant and stem fit the images by default."""
    side = max(shape[:2])
    variant = experiment.variant or variant_for(side)[0]
    stem = experiment.stem or stem_for(variant, side)
    return Start(
        lambda **arguments: ConvNeXtClassifier.from_preset(variant, stem_patch_size=stem, **arguments),
        variant,
        variant,
    )


def _from_checkpoint(checkpoint):
    """A model with the weights of a checkpoint. A file or a run folder is loaded here, and a preset later."""
    found = find_model(checkpoint)
    if found.path is None:
        return Start(
            lambda **arguments: ConvNeXtClassifier.from_preset(checkpoint, **arguments), found.variant, checkpoint
        )
    model = load_model(checkpoint, data_format="channels_last")
    backbone = getattr(model, "backbone", model)
    if getattr(backbone, "data_format", None) != "channels_last":
        received = getattr(backbone, "data_format", f"a {type(model).__name__}, which is not a ConvNeXt")
        raise ValueError(f"{checkpoint}: expected a ConvNeXt with data_format channels_last. Received: {received}")

    def make(layer_scale_init_value=None, data_format=None, **arguments):  # both are the checkpoint's
        return transfer(model, **arguments)

    variant = variant_of(model, any_stem=True)
    return Start(make, variant, f"{variant or 'convnext'}-tuned", model.input_shape[-1])


def _image_shape(images, size, recipe_size):
    """`(height, width, channels)` that the model takes: a square of `size`, the recipe's size, or the images' own."""
    if size:
        recipe_size = (size, size)
    if images.are_files:
        return (*(recipe_size or (FILES_SIZE, FILES_SIZE)), 3)
    return (*(recipe_size or images.pixels.shape[1:3]), images.pixels.shape[-1])


def _freeze(model, count):
    stages = len(model.backbone.depths)
    if count > stages:
        raise ValueError(f"`freeze` must be from 0 to {stages}, the stages of the model. Received: freeze={count}")
    model.backbone.freeze_stages(count)


def _absolute(checkpoint):
    """A path made absolute, so that it is valid wherever the settings are used again; a name as it is."""
    return str(Path(checkpoint).resolve()) if checkpoint and Path(checkpoint).exists() else checkpoint
