"""How many epochs of the path in miniature fit into a given time."""

import time
from collections.abc import Callable

from keras_convnext.data import ImageData
from keras_convnext.roadmap.miniature import Miniature
from keras_convnext.training.failures import original_errors

TIMED_BATCHES = 3


def epochs_within(
    seconds: float, experiment: Miniature, data: ImageData, progress: Callable[[str], None] = print
) -> int:
    """Chooses the number of epochs with which all trainings of an experiment take a given time.

    It times a few batches of each network. The time that this takes is part of the given time.

    Args:
        seconds: the time for everything.
        experiment: the settings.
        data: what is trained on.
        progress: called with a line of text as each network is timed. Defaults to `print`.

    Returns:
        The number of epochs, or 0 if the time is too short for one.
    """
    started = time.perf_counter()
    progress(f"timing {len(experiment.steps)} networks")
    of_all = 0.0
    for step in experiment.steps:
        of_one = seconds_per_epoch(experiment, step, data)
        progress(f"{step:22} {len(data.train) / of_one:6.0f} images/s")
        of_all += of_one
    left = seconds - (time.perf_counter() - started)
    epochs = max(0, int(left / (of_all * experiment.seeds)))
    progress(f"one epoch of all networks takes {of_all:.0f} s: {epochs} epochs with each of {experiment.seeds} seeds")
    return epochs


def seconds_per_epoch(experiment: Miniature, step: str, data: ImageData) -> float:
    """Estimates the time of one epoch of a step's network from a few of its batches."""
    recipe = experiment.recipe
    batches = recipe.dataset(data.train)
    model = experiment.network(step, batches.item_shape, len(data.class_names))
    recipe.compile(model, len(batches))
    images, labels = batches[0]
    batches.close()
    with original_errors():
        model.train_on_batch(images, labels)  # compiles
        started = time.perf_counter()
        for _ in range(TIMED_BATCHES):
            model.train_on_batch(images, labels)
    return (time.perf_counter() - started) / TIMED_BATCHES * len(batches)
