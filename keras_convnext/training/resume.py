"""Resumes a run after its last complete epoch: as it was started, or to another number of epochs."""

from dataclasses import replace
from pathlib import Path

import keras

from keras_convnext.data import with_validation
from keras_convnext.preprocessing.augmentation.augmentation import UnknownStepError
from keras_convnext.scalars import integer
from keras_convnext.training.build import build, check_backend, require_tensorboard
from keras_convnext.training.engine import start_engine
from keras_convnext.training.prepared import PreparedTraining
from keras_convnext.training.recipe import Recipe
from keras_convnext.training.record import restore_state
from keras_convnext.training.run import Run, check_run_data
from keras_convnext.training.tasks import task_of


def prepare_resumed(
    path: str | Path, epochs: int | None = None, tensorboard: bool | None = None, distribute: str | None = None
) -> PreparedTraining:
    """Prepares the training of a run to resume after its last complete epoch. Nothing is written yet.

    A run that was killed in its first epoch starts again in its folder.

    Args:
        path: path of the run folder.
        epochs: total number of epochs, more than the run has trained so far. The learning rate then follows the
            schedule of that many epochs. Defaults to None: as the run was started.
        tensorboard: whether logs for TensorBoard are written. Defaults to None: as the run was started.
        distribute: as for `Experiment`. Defaults to None: as the run was started. The number of processes and devices
            may be another one.

    Raises:
        ValueError: not a run folder, a complete run without new `epochs`, `epochs` that are not more than it has
            trained, or other data than it began with.

    Example:

    >>> import tempfile
    >>> from keras_convnext.training import Experiment
    >>> from keras_convnext.training.resume import prepare_resumed
    >>> run = Experiment(data="digits", epochs=1, output=tempfile.mkdtemp() + "/first").run(verbose=0)
    >>> prepare_resumed(run.path, epochs=3).recipe.epochs
    3
    """
    check_backend()
    run = Run.open(path)
    config = run.config
    source = config.get("data")
    if source is None:
        raise ValueError(f"{run.path}: its config.json does not name the data that it was trained with.")
    try:
        if run.last_state is None:
            return _start_again(run, epochs, tensorboard, distribute)
        done = _epochs_done(run, epochs)
        recipe = Recipe.from_config(config["recipe"])
    except UnknownStepError as error:
        raise UnknownStepError(f"{run.path}: {error}") from error
    if epochs is not None:
        recipe = replace(recipe, epochs=epochs)
    tensorboard = config.get("tensorboard", False) if tensorboard is None else tensorboard
    if tensorboard:
        require_tensorboard()
    task = task_of(config)
    data = task.load_data(source, config.get("skip_unreadable", False))
    check_run_data(config, source, data)
    samples_validation = data.validation is None
    data = with_validation(data, recipe.seed)
    _check_count(config, source, data)

    def steps_per_epoch(model):
        batches = task.batches(recipe, model, data.train, training=True)  # refuses images that it is not for
        batches.close()
        return len(batches)

    distribute = distribute or config.get("distribute")
    engine = start_engine(distribute)
    with engine.scope():
        model, history = restore_state(
            run.last_state, lambda model: task.compile(recipe, model, steps_per_epoch(model))
        )
        rate = follow_schedule(model, recipe, steps_per_epoch(model))
    note = (
        f"{done} epoch{'s' if done > 1 else ''} trained; from here on the learning rate follows the schedule of "
        f"{recipe.epochs} epochs, {rate:.3g} next"
    )
    return PreparedTraining(
        model=model,
        data=data,
        recipe=recipe,
        name=config.get("variant") or config.get("checkpoint") or model.name,
        settings={"tensorboard": tensorboard, "distribute": distribute},
        run=run,
        history=tuple(history),
        notes=(*((note,) if recipe.epochs != config["recipe"]["epochs"] else ()), *engine.notes(model)),
        samples_validation=samples_validation,
        task=task,
        engine=engine,
    )


def _start_again(run, epochs, tensorboard, distribute):
    """The training of a run without a complete epoch, from its beginning."""
    from keras_convnext.training.experiment import Experiment  # which imports this module

    # Not `run.model_path`: an epoch writes its model before its state is complete.
    if run.metrics is not None or (run.path / "history.csv").exists():
        raise ValueError(
            f"{run.path}: this run has trained, and has no state/, from which it could be resumed. Start a new run "
            "with another `output`."
        )
    if run.config.get("variant") is None and run.config.get("checkpoint") is None:
        raise ValueError(f"{run.path}: its config.json names neither variant nor checkpoint. Start a new run.")
    given = {"epochs": epochs, "tensorboard": tensorboard, "distribute": distribute}
    experiment = Experiment.from_config(run.config)
    experiment = replace(experiment, **{name: value for name, value in given.items() if value is not None})
    training = build(experiment)
    check_run_data(run.config, experiment.data, training.data)
    _check_count(run.config, experiment.data, training.data)
    return replace(training, run=run, notes=(*training.notes, "no epoch was complete: the training starts again"))


def _check_count(config, source, data):
    if len(data.train) != config["training_images"]:
        raise ValueError(
            f"{source}: {len(data.train)} training images; the run began with {config['training_images']}. Restore the "
            "data, or start a new run."
        )


def follow_schedule(model: keras.Model, recipe: Recipe, steps_per_epoch: int) -> float:
    """Sets the schedule of a compiled model's learning rate to a recipe's number of epochs, if it differs.

    Args:
        model: a model that `recipe.compile` compiled, maybe for another number of epochs. Its warmup is kept.
        recipe: the `Recipe`.
        steps_per_epoch: number of batches per epoch.

    Returns:
        The learning rate of the next update.
    """
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    schedule = keras.saving.deserialize_keras_object(optimizer.get_config()["learning_rate"])
    total_steps = recipe.epochs * (steps_per_epoch // recipe.accumulate)
    if schedule.total_steps != total_steps:
        settings = schedule.get_config()
        warmup_steps = min(settings["warmup_steps"], total_steps)
        schedule = type(schedule).from_config({**settings, "total_steps": total_steps, "warmup_steps": warmup_steps})
        optimizer.learning_rate = schedule
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


def _epochs_done(run, epochs):
    """How many epochs a run has trained; it must have more to go."""
    done = int(run.last_state.name.removeprefix("epoch-"))
    if epochs is None:
        if run.metrics is not None:
            raise ValueError(f"{run.path}: this run is complete. To extend it, give more `epochs` than its {done}.")
        return done
    if integer("epochs", epochs, 1) <= done:
        raise ValueError(
            f"`epochs` must be more than the {done} that {run.path} has trained already. Received: epochs={epochs}"
        )
    return done
