"""A whole training in a run folder: a thin layer over `Recipe`, `compile` and `fit`."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import keras

from keras_convnext.data import EpochOrder, ImageData, Images, with_validation
from keras_convnext.extras import require
from keras_convnext.models import returns_logits
from keras_convnext.training.confusion import draw_confusion
from keras_convnext.training.curves import draw_curves
from keras_convnext.training.data_size import check_training
from keras_convnext.training.dataset import training_batches
from keras_convnext.training.evaluate import evaluate
from keras_convnext.training.failures import original_errors
from keras_convnext.training.interrupt import StopBetweenBatches
from keras_convnext.training.mistakes import draw_mistakes
from keras_convnext.training.predictions import Predictions
from keras_convnext.training.recipe import Recipe
from keras_convnext.training.record import best_row, rank
from keras_convnext.training.run import METRICS, Run

SECONDS_TO_END = 0.5
"""How long to wait for TensorFlow's threads to end, which usually takes some milliseconds."""


def create_run(path: str | Path, model: keras.Model, data: ImageData, recipe: Recipe, notes: dict | None = None) -> Run:
    """Creates a run folder whose `config.json` has all that `keras-convnext predict` needs.

    To evaluate or resume the run, `notes` must have two more entries, which `Experiment` writes: `data`, the name or
    path of the data set, and `skip_unreadable`.

    Args:
        path: path of the new folder.
        model: the classifier to train.
        data: `data.ImageData`.
        recipe: a `Recipe`.
        notes: further entries of `config.json`. Defaults to none.

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
) -> dict:
    """Trains a model, keeps its best epoch by validation accuracy, and scores that once on the test images.

    `confusion.png` and `mistakes.png` show its predictions for the test images, or for the validation images if there
    are no test images.

    If the data have no validation images, a tenth of the training images is split off for validation, sampled with the
    recipe's seed.

    Args:
        model: a `ConvNeXtClassifier`, or a functional model of images to logits, such as one of `roadmap.build`.
        data: `data.ImageData`.
        recipe: a `Recipe`.
        run: a `Run`: a new one, or one to continue.
        history: rows of the epochs that the run already has. If given, `model` must be the one that `restore_state`
            returned, and it is not compiled again. Defaults to none.
        callbacks: further Keras callbacks. Defaults to none.
        verbose: as for `model.fit`. Defaults to `"auto"`.

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
    if not history:
        check_training(recipe, data)
    started = time.perf_counter()
    with StopBetweenBatches() as stop:
        data = with_validation(data, recipe.seed)
        train = training_batches(recipe, model, data.train)
        if not history:
            recipe.compile(model, steps_per_epoch=len(train))
        validation = recipe.dataset(data.validation, training=False)  # type: ignore[arg-type]  # `with_validation` gave it some
        record, *others = recipe.callbacks(run, history, validation)
        try:
            with original_errors(train, validation):
                model.fit(
                    train,
                    validation_data=validation,
                    epochs=recipe.epochs,
                    initial_epoch=len(history),
                    shuffle=False,  # the order is the dataset's
                    callbacks=[EpochOrder(train), record, *others, *callbacks, stop],
                    verbose=verbose,
                )
        finally:
            _close(train, validation)
        best = best_row(record.history)
        accuracy, loss = rank(best)
        metrics = {
            "test_accuracy": None,
            "test_loss": None,
            "val_accuracy": accuracy,
            "val_loss": -loss,
            "best_epoch": best["epoch"],
            "epochs": len(record.history),
            "seconds": round(time.perf_counter() - started, 1),
        }
        part, images = ("validation", data.validation) if data.test is None else ("test", data.test)
        scores, predictions = _score(run, recipe, images, stop)
        if data.test is not None:
            metrics |= {"test_accuracy": scores["accuracy"], "test_loss": scores["loss"]}
    run.write_csv("history.csv", record.history)  # also the last row, if the run was killed before it was written
    run.write_json(METRICS, metrics)
    run.write("curves.png", lambda path: draw_curves(record.history, path))
    draw_predictions(run, images, predictions, part)  # type: ignore[arg-type]  # `with_validation` gave it some
    return metrics


def draw_predictions(run: Run, images: Images, predictions: Predictions, part: str = "test") -> None:
    """Writes `confusion.png` and `mistakes.png` into a run folder.

    Args:
        run: a `Run`.
        images: `data.Images`.
        predictions: `Predictions` of these images.
        part: the name of the part to which the images belong. Defaults to `"test"`.
    """
    classes, probabilities = predictions.classes, predictions.probabilities
    run.write("confusion.png", lambda path: draw_confusion(images.labels, classes, images.class_names, path, part))
    run.write("mistakes.png", lambda path: draw_mistakes(images, classes, probabilities, path, part))


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


def _score(run, recipe, images, stop):
    """The scores of the best epoch's model, and its predictions."""
    model = run.load_model()
    predictions = Predictions(len(images), from_logits=returns_logits(model))
    batches = recipe.dataset(images, training=False)
    scores = evaluate(model, batches, recipe.loss_smoothing, verbose=0, metrics=[predictions], callbacks=[stop])
    return scores, predictions


def _close(*datasets):
    """Closes the datasets, and on TensorFlow waits for its prefetching threads to notice.

    If a training ends during an epoch, TensorFlow destroys its iterator while such a thread may wait for Python's lock.
    The iterator holds that lock and would wait for the thread forever.
    """
    for dataset in datasets:
        dataset.close()
    if keras.backend.backend() == "tensorflow" and sys.exc_info()[0] is not None:
        time.sleep(SECONDS_TO_END)
