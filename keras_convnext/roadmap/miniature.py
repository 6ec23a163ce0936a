"""The paper's path in miniature: every step from ResNet to ConvNeXt, narrow, trained alike on small images."""

import shutil
import statistics
import time
from dataclasses import replace

import keras
import numpy as np

from keras_convnext.extras import require
from keras_convnext.models import roadmap
from keras_convnext.training.fit import create_run, fit
from keras_convnext.training.record import restore_state
from keras_convnext.training.run import Run

STEPS = tuple(name for name in roadmap.STEPS if name != "resnet")
"""`resnet` and `resnet_enhanced` are one network, which the paper trains by two recipes: here there is one recipe."""

TIMED_STEPS = 3

FEWEST_PAIRS = 4
"""That a rank correlation has a confidence interval for."""


def miniature(step, regime, shape, num_classes, recipe, width_divisor):
    """The network of a step for small images: `roadmap.build`, with the recipe's drop path, without layer scale."""
    return roadmap.build(
        step,
        regime,
        num_classes=num_classes,
        input_shape=shape,
        drop_path_rate=recipe.drop_path_rate,
        width_divisor=width_divisor,
    )


def seconds_an_epoch(step, regime, data, recipe, width_divisor):
    """How long an epoch of a step's network takes, by a few of its batches."""
    batches = recipe.dataset(data.train)
    model = miniature(step, regime, batches.item_shape, len(data.class_names), recipe, width_divisor)
    recipe.compile(model, len(batches))
    images, labels = batches[0]
    batches.close()
    model.train_on_batch(images, labels)  # compiles
    started = time.perf_counter()
    for _ in range(TIMED_STEPS):
        model.train_on_batch(images, labels)
    return (time.perf_counter() - started) / TIMED_STEPS * len(batches)


def train_step(step, seed, folder, data, recipe, regime="resnet50", width_divisor=4, verbose=2):
    """Trains a step's network in a run folder of its own, or goes on with it; a complete one is left as it is.

    Args:
        step: str, a name of `STEPS`.
        seed: int, of weights, order and what is drawn for the images.
        folder: `pathlib.Path`, in which the run's folder is, `STEP-SEED`.
        data: `data.ImageData`, with validation images.
        recipe: a `Recipe` with augmentation.
        regime: `"resnet50"` or `"resnet200"`. Defaults to `"resnet50"`.
        width_divisor: int. Defaults to 4.
        verbose: as in `model.fit`. Defaults to 2.

    Returns:
        `(accuracy, images a second)`: on the test images where there are some, else on the validation images; and of
        the training, by the fastest of its epochs.
    """
    recipe = replace(recipe, seed=seed)
    path = folder / f"{step}-{seed}"
    if not (path / "metrics.json").is_file():
        history = ()
        if path.exists() and Run(path).last_state is None:  # killed before its first epoch was complete
            shutil.rmtree(path)
        if path.exists():
            run = Run.open(path)
            model, history = restore_state(run.last_state)
        else:
            keras.utils.set_random_seed(seed)
            batches = recipe.dataset(data.train)
            model = miniature(step, regime, batches.item_shape, len(data.class_names), recipe, width_divisor)
            batches.close()
            run = create_run(path, model, data, recipe, notes={"step": step, "regime": regime})
        fit(model, data, recipe, run, history, verbose=verbose)
        shutil.rmtree(path / "state")  # which is for a training that goes on
        keras.utils.clear_session()
    run = Run.open(path)
    metrics = run.read_json("metrics.json")
    accuracy = metrics["val_accuracy"] if metrics["test_accuracy"] is None else metrics["test_accuracy"]
    return accuracy, len(data.train) / min(float(row["seconds"]) for row in run.read_csv("history.csv"))


def summarize(found, regime):
    """What the trainings gave beside what the paper has.

    Args:
        found: dict from names of steps to lists of `(accuracy, images a second)`, one for each seed.
        regime: `"resnet50"` or `"resnet200"`.

    Returns:
        dict: `steps`, a row each; `rank_correlation` and its 95 % `interval`, both None for fewer than four steps and
        where all accuracies are equal.
    """
    rows = []
    for step, trainings in found.items():
        accuracies = [accuracy for accuracy, _ in trainings]
        rows.append(
            {
                "step": step,
                "accuracies": accuracies,
                "mean": statistics.mean(accuracies),
                "deviation": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
                "images_per_second": statistics.median(speed for _, speed in trainings),
                "top1": roadmap.STEPS[step].published[regime].top1,
            }
        )
    correlation, interval = None, None
    if len(rows) >= FEWEST_PAIRS and len({row["mean"] for row in rows}) > 1:
        correlation, interval = rank_correlation([row["mean"] for row in rows], [row["top1"] for row in rows])
    return {"regime": regime, "steps": rows, "rank_correlation": correlation, "interval": interval}


def draw_miniature(results, path):
    """Draws the accuracy of each step, with every seed's, beside the paper's, into a picture file.

    Args:
        results: what `summarize` returns.
        path: of the file to write.
    """
    figure = require("matplotlib.figure", extra="cli").Figure(figsize=(9, 5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    rows = results["steps"]
    places = range(len(rows))
    for place, row in zip(places, rows, strict=True):
        ours = [100 * accuracy for accuracy in row["accuracies"]]
        left.plot(ours, [place] * len(ours), ".", color="0.6")
    left.plot([100 * row["mean"] for row in rows], places, "o", color="#c8644a")
    right.plot([row["top1"] for row in rows], places, "o", color="#4a90b8")
    left.set(yticks=list(places), yticklabels=[roadmap.STEPS[row["step"]].name for row in rows])
    left.set_xlabel("in miniature: accuracy, %")
    right.set_xlabel("the paper: ImageNet-1k top-1, %")
    left.invert_yaxis()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def rank_correlation(ours, theirs, confidence=0.95):
    """Spearman's rank correlation, with its confidence interval after Bonett and Wright (Psychometrika 65, 2000).

    Args:
        ours, theirs: sequences of numbers, four or more, in pairs.
        confidence: float. Defaults to 0.95.

    Returns:
        `(correlation, (low, high))`; NaN where one side has equal numbers alone.

    Raises:
        ValueError: fewer than four pairs.

    Example:

    >>> from keras_convnext.training.roadmap import rank_correlation
    >>> rank_correlation([1, 2, 3, 4, 5], [1, 2, 4, 3, 5])[0]
    0.9
    """
    if len(ours) != len(theirs) or len(ours) < FEWEST_PAIRS:
        raise ValueError(f"Expected four pairs or more. Received: {len(ours)} and {len(theirs)} numbers")
    first, second = (_ranks(np.asarray(numbers, "float64")) for numbers in (ours, theirs))
    if first.std() == 0 or second.std() == 0:
        return float("nan"), (float("nan"), float("nan"))
    correlation = float(np.corrcoef(first, second)[0, 1])
    quantile = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    half = quantile * np.sqrt((1 + correlation**2 / 2) / (len(first) - 3))
    centre = np.arctanh(np.clip(correlation, -1 + 1e-12, 1 - 1e-12))
    return round(correlation, 12), (float(np.tanh(centre - half)), float(np.tanh(centre + half)))


def _ranks(numbers):
    """Ranks from 1 up; equal numbers share the mean of theirs."""
    ranks = np.empty(len(numbers))
    ranks[np.argsort(numbers, kind="stable")] = np.arange(1, len(numbers) + 1)
    for number in np.unique(numbers):
        ranks[numbers == number] = ranks[numbers == number].mean()
    return ranks
