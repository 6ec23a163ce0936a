"""Builds a training from an experiment: loads data, model and recipe, and checks that they fit each other."""

from pathlib import Path
from typing import TYPE_CHECKING

import keras

from keras_convnext.data import with_validation
from keras_convnext.data.load import absolute_source
from keras_convnext.extras import BACKENDS, BACKENDS_IN_WORDS, require
from keras_convnext.models import backbone_of
from keras_convnext.training.chosen_recipe import SIZED, adapted_recipe, choose_recipe, with_learning_rate
from keras_convnext.training.data_size import check_warmup, explain_average, explain_data_size, for_data_size
from keras_convnext.training.dataset import check_batch_size
from keras_convnext.training.engine import Engine, start_engine
from keras_convnext.training.prepared import PreparedTraining
from keras_convnext.training.run_paths import refuse_existing, run_name
from keras_convnext.training.tasks import find_task
from keras_convnext.version import __version__

if TYPE_CHECKING:
    from keras_convnext.training.experiment import Experiment


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
    engine = start_engine(experiment.distribute)
    with engine.scope():
        return _build(experiment, engine)


def _build(experiment: "Experiment", engine: Engine) -> PreparedTraining:
    chosen = choose_recipe(experiment.chosen_recipe)
    task = find_task(experiment.task)
    start = task.from_checkpoint(experiment) if experiment.checkpoint else None
    source: str = experiment.data  # type: ignore[assignment]  # an experiment without data has its task's
    data = task.load_data(source, experiment.skip_unreadable)
    recipe_size = chosen.recipe.with_settings(chosen.changes).image_size
    shape = _image_shape(data.train, experiment.size, recipe_size, task.files_size)
    if start is None:
        side = max(shape[:2])
        variant = experiment.variant or task.choose_variant(side)
        start = task.from_variant(experiment, variant, experiment.stem or task.choose_stem(variant, side))
    if start.channels not in (None, shape[-1]):
        raise ValueError(
            f"{experiment.checkpoint}: the model takes images of {start.channels} channels; the data have {shape[-1]}."
        )
    asked = adapted_recipe(chosen, experiment, start.variant, shape[:2])
    check_warmup(asked)
    task.check_data(data)
    samples_validation = data.validation is None
    data = with_validation(data, asked.seed)
    task.check_data(data)
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
    batches = task.batches(recipe, model, data.train, training=True)  # refuses images that it cannot augment
    task.compile(recipe, model, steps_per_epoch=len(batches))  # refuses rules that do not fit this model
    batches.close()
    engine.share(batches)  # refuses a batch that cannot be divided
    engine.part(data.validation)  # refuses too few images
    return PreparedTraining(
        model=model,
        data=data,
        recipe=recipe,
        name=experiment.checkpoint or start.variant or start.name,
        settings={
            "data": absolute_source(source),
            "variant": None if experiment.checkpoint else start.variant,
            "stem": None if experiment.checkpoint else backbone_of(model).stem_patch_size,  # type: ignore[union-attr]
            "checkpoint": _absolute(experiment.checkpoint),
            "detector": experiment.detector,
            "hidden_size": experiment.hidden_size,
            "freeze": experiment.freeze,
            "skip_unreadable": experiment.skip_unreadable,
            "tensorboard": experiment.tensorboard,
            "distribute": experiment.distribute,
            "keras_convnext": __version__,
        },
        output=experiment.output,
        run_name=run_name(source, start.name),
        notes=(*filter(None, notes), *engine.notes(model)),
        samples_validation=samples_validation,
        task=task,
        engine=engine,
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


def _image_shape(images, size, recipe_size, files_size):
    """`(height, width, channels)` that the model takes: a square of `size`, the recipe's size, or the images' own."""
    if size:
        recipe_size = (size, size)
    if images.are_files:
        return (*(recipe_size or (files_size, files_size)), 3)
    return (*(recipe_size or images.pixels.shape[1:3]), images.pixels.shape[-1])


def _freeze(model, count):
    backbone = backbone_of(model)
    stages = len(backbone.depths)
    if count > stages:
        raise ValueError(f"`freeze` must be from 0 to {stages}, the stages of the model. Received: freeze={count}")
    backbone.freeze_stages(count)


def _absolute(checkpoint):
    """A path made absolute, so that it is valid wherever the settings are used again; a name as it is."""
    return str(Path(checkpoint).resolve()) if checkpoint and Path(checkpoint).exists() else checkpoint
