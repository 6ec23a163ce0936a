"""A whole training in a run folder: thin sugar over `Recipe`, `compile` and `fit`."""

import time

from keras_convnext.data import split_validation
from keras_convnext.training.curves import draw_curves
from keras_convnext.training.record import RunRecord, best_row

VALIDATION_FRACTION = 0.1


def fit(model, data, recipe, run, history=(), verbose="auto"):
    """Trains, keeps the best model by validation accuracy, and scores it once on the test images.

    A tenth of the training images, drawn by the recipe's seed, is for validation where the data has no such part.

    Args:
        model: a `ConvNeXtClassifier`.
        data: `data.ImageData`.
        recipe: a `Recipe`.
        run: a `Run`: a new one, or one to go on with.
        history: rows of the epochs that the run has already; with them `model` is the one that `restore_state` gave,
            and is not compiled anew. Defaults to none.
        verbose: as in `model.fit`.

    Returns:
        What `metrics.json` holds: `test_accuracy` and `test_loss` (None where there are no test images), those of the
        best epoch on the validation images, and the time.
    """
    started = time.perf_counter()
    train, validation = data.train, data.validation
    if validation is None:
        train, validation = split_validation(train, VALIDATION_FRACTION, recipe.seed)
    train = recipe.dataset(train)
    train.epoch = len(history)
    if not history:
        recipe.compile(model, steps_per_epoch=len(train))
    record = RunRecord(run, history)
    model.fit(
        train,
        validation_data=recipe.dataset(validation, training=False),
        epochs=recipe.epochs,
        initial_epoch=len(history),
        callbacks=[record],
        verbose=verbose,
    )
    best = best_row(record.history)
    metrics = {
        "test_accuracy": None,
        "test_loss": None,
        "val_accuracy": best["val_accuracy"],
        "val_loss": best["val_loss"],
        "best_epoch": best["epoch"],
        "epochs": len(record.history),
        "seconds": round(time.perf_counter() - started, 1),
    }
    if data.test is not None:
        scores = run.load_model().evaluate(recipe.dataset(data.test, training=False), verbose=0, return_dict=True)
        metrics |= {"test_accuracy": scores["accuracy"], "test_loss": scores["loss"]}
    run.write_json("metrics.json", metrics)
    run.write("curves.png", lambda path: draw_curves(record.history, path))
    return metrics
