"""A whole training in a run folder: a thin layer over `Recipe`, `compile` and `fit`."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import keras

from keras_convnext.data import EpochOrder, ImageData, with_validation
from keras_convnext.extras import require
from keras_convnext.training.curves import draw_curves
from keras_convnext.training.data_size import check_warmup
from keras_convnext.training.engine import Engine, current_engine
from keras_convnext.training.failures import original_errors
from keras_convnext.training.interrupt import StopBetweenBatches
from keras_convnext.training.recipe import Recipe
from keras_convnext.training.record import best_row, rank
from keras_convnext.training.run import METRICS, Run
from keras_convnext.training.tasks import Classification, find_task, task_of

SECONDS_TO_END = 0.5
"""How long to wait for TensorFlow's threads to end, which usually takes some milliseconds."""


def create_run(
    path: str | Path,
    model: keras.Model,
    data: ImageData,
    recipe: Recipe,
    notes: dict | None = None,
    task: str = Classification.name,
) -> Run:
    """Creates a run folder whose `config.json` has all that `keras-convnext predict` needs.

    To evaluate or resume the run, `notes` must have two more entries, which `Experiment` writes: `data`, the name or
    path of the data set, and `skip_unreadable`.

    Args:
        path: path of the new folder.
        model: the model to train.
        data: `data.ImageData`.
        recipe: a `Recipe`.
        notes: further entries of `config.json`. Defaults to none.
        task: a key of `training.tasks.TASKS`. Defaults to `"classification"`.

    Raises:
        ValueError: `path` exists already, or neither model, recipe nor images determine the size of the images.

    Example:

    >>> import tempfile
    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.data import load_digits
    >>> from keras_convnext.training import RECIPES, create_run
    >>> model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10, input_shape=(8, 8, 1))
    >>> run = create_run(tempfile.mkdtemp() + "/first", model, load_digits(), RECIPES["digits"])
    >>> run.config["image_shape"]
    [8, 8, 1]
    """
    config = {
        "task": find_task(task).name,
        "class_names": data.class_names,
        "image_shape": _image_shape(model, data.train, recipe),
        "training_images": len(data.train),
        "recipe": recipe.get_config(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
    }
    return Run.create(path, {**(notes or {}), **config})


def fit(
    model: keras.Model,
    data: ImageData,
    recipe: Recipe,
    run: Run,
    history: Sequence[dict] = (),
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: str | int = "auto",
    engine: Engine | None = None,
) -> dict:
    """Trains a model, keeps its best epoch by the score on validation images, and scores that once on the test images.

    The score is the accuracy for classification; each task has its own. Figures such as `confusion.png` and
    `mistakes.png` show the predictions for the test images, or for the validation images if there are no test images.

    If the data have no validation images, a tenth of the training images is split off for validation, sampled with the
    recipe's seed.

    Args:
        model: a `ConvNeXtClassifier`, or a functional model of images to logits, such as one of `roadmap.build`.
        data: `data.ImageData`.
        recipe: a `Recipe`.
        run: a `Run`: a new one, or one to continue. Its task is that of the training.
        history: rows of the epochs that the run already has. If given, `model` must be the one that `restore_state`
            returned, and it is not compiled again. Defaults to none.
        callbacks: further Keras callbacks. Defaults to none.
        verbose: as for `model.fit`. Defaults to `"auto"`.
        engine: the `Engine` in whose `scope` the model was made. Defaults to None: on JAX, the distribution that
            `keras.distribution.set_distribution` has set; otherwise one device.

    Returns:
        The content of `metrics.json`: `test_accuracy` and `test_loss` (None if there are no test images), the scores of
        the best epoch on the validation images, and the time.

    Raises:
        ValueError: the run has epochs already and `history` is not given, a batch has more images than there are for
            training, or a class has too few images for validation.
        FloatingPointError: the loss is NaN or Inf; the message has the step, the rate and the last good state.
        OSError: an image that cannot be read any more, or a file that cannot be written.
        RuntimeError: an augmentation process ended, or there was too little memory.

    Example:

    >>> import tempfile
    >>> from keras_convnext import ConvNeXtClassifier, fit
    >>> from keras_convnext.data import load_digits
    >>> from keras_convnext.training import RECIPES, create_run
    >>> model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10, input_shape=(8, 8, 1))
    >>> recipe, data = RECIPES["digits"].with_epochs(1), load_digits()
    >>> run = create_run(tempfile.mkdtemp() + "/first", model, data, recipe)
    >>> metrics = fit(model, data, recipe, run, verbose=0)
    >>> sorted(path.name for path in run.path.glob("*.png"))
    ['confusion.png', 'curves.png', 'mistakes.png']
    """
    require("matplotlib", extra="cli")  # for the figures, which are drawn last
    if run.last_state is not None and not history:
        raise ValueError(f"{run.path}: this run has trained already, and a run never overwrites another.")
    task = task_of(run.config)
    engine = engine or current_engine()
    if not history:
        check_warmup(recipe)
        task.check_data(data)
    started = time.perf_counter()
    with StopBetweenBatches() as stop:
        data = with_validation(data, recipe.seed)
        if not history:
            task.check_data(data)
        train = engine.share(task.batches(recipe, model, data.train, training=True))
        validation = task.batches(recipe, model, engine.part(data.validation), training=False)
        record, *others = recipe.callbacks(run, history, validation, engine)
        try:
            if not history:
                with engine.scope():
                    task.compile(recipe, model, steps_per_epoch=len(train))
            with original_errors(train, validation), engine.training_scope():
                engine.prepare(model)
                model.fit(
                    train,
                    validation_data=validation if engine.validates_in_fit else None,
                    epochs=recipe.epochs,
                    initial_epoch=len(history),
                    shuffle=False,  # the order is the dataset's
                    callbacks=[EpochOrder(train), *engine.callbacks(train), record, *others, *callbacks, stop],
                    verbose=verbose if engine.writes else 0,
                )
        finally:
            _close(train, validation)
        seconds = round(time.perf_counter() - started, 1)
        with engine.one_device():
            metrics = engine.on_writer(lambda: _test(task, recipe, data, run, record.history, seconds, stop))
        engine.end_well()
        return metrics


def _test(task, recipe, data, run, history, seconds, stop):
    """Scores the best model on the test images, writes the scores and pictures, and returns the scores."""
    best = best_row(history, task.score)
    score, negative_loss = rank(best, task.score)
    metrics = {
        **dict.fromkeys([f"test_{name}" for name in task.reported]),
        f"val_{task.score}": score,
        "val_loss": -negative_loss,
        "best_epoch": best["epoch"],
        "epochs": len(history),
        "seconds": seconds,
    }
    part, images = ("validation", data.validation) if data.test is None else ("test", data.test)
    kept = run.load_model()
    batches = task.batches(recipe, kept, images, training=False)
    scores, predictions = task.test(kept, batches, recipe.loss_smoothing, callbacks=[stop])
    if data.test is not None:
        metrics |= {f"test_{name}": scores[name] for name in task.reported}
    run.write_csv("history.csv", history)  # also the last row, if the run was killed before it was written
    run.write_json(METRICS, metrics)
    run.write("curves.png", lambda path: draw_curves(history, path, task.score))
    task.draw(run, images, predictions, part)
    return metrics


def _image_shape(model, images, recipe):
    """`(height, width, channels)` of the images that a model trains on; its own sizes may be None."""
    *sizes, channels = model.input_shape[1:]
    if None not in sizes:
        return (*sizes, channels)
    if recipe.image_size is not None:
        return (*recipe.image_size, channels)
    if not images.are_files:
        return (*images.pixels.shape[1:3], channels)
    raise ValueError(
        "To train on image files, the model or the recipe must have an image size: build the model with "
        f"`input_shape`, or set the recipe's `image_size`. Received: a model of input_shape={model.input_shape[1:]}"
    )


def _close(*datasets):
    """Closes the datasets, and on TensorFlow waits for its prefetching threads to notice.

    If a training ends during an epoch, TensorFlow destroys its iterator while such a thread may wait for Python's lock.
    The iterator holds that lock and would wait for the thread forever.
    """
    for dataset in datasets:
        dataset.close()
    if keras.backend.backend() == "tensorflow" and sys.exc_info()[0] is not None:
        time.sleep(SECONDS_TO_END)
