"""Batch size and epochs of a recipe for the size of a data set, and checks of both before a training.

A recipe has a batch size and a number of epochs. With 150 images in batches of 64, an epoch has two updates of the
weights, and 28 epochs have 56: too few to learn from. Our own recipes therefore say how many updates a training needs
at least (`Recipe.min_updates`). Published recipes do not, and stay as they are.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_convnext.data import ImageData

if TYPE_CHECKING:
    from keras_convnext.training.recipe import Recipe

FEWEST_UPDATES_PER_EPOCH = 8
"""The batch is halved until an epoch has this many updates: the learning rate and the best epoch go by epochs."""

SMALLEST_BATCH = 8
"""Below this size the gradients of an update are mostly noise."""


def for_data_size(recipe: "Recipe", training_images: int, keep: Sequence[str] = ()) -> "Recipe":
    """Returns the recipe with batch size and epochs chosen for a number of training images.

    The batch size is halved, down to 8 images, until an epoch has 8 updates of the weights. The number of epochs is
    raised until there are `recipe.min_updates` updates. The learning rate follows the batch size, and the warmup the
    epochs. A recipe without `min_updates`, that is, a published one, stays as it is.

    Args:
        recipe: a `Recipe`.
        training_images: number of images, without those for validation.
        keep: the settings that stay as they are: `"batch_size"`, `"epochs"` or both. Defaults to none.

    Returns:
        A `Recipe`.

    Example:

    >>> from keras_convnext.training import RECIPES, for_data_size
    >>> recipe = for_data_size(RECIPES["small_images"], training_images=146)
    >>> recipe.batch_size, recipe.epochs
    (16, 67)
    """
    least = recipe.min_updates
    if least is None:
        return recipe
    if "batch_size" not in keep:
        recipe = recipe.at_batch_size(_batch_size(recipe, training_images))
    updates = training_images // recipe.batch_size
    if "epochs" not in keep and updates and recipe.epochs * updates < least:
        recipe = recipe.with_epochs(math.ceil(least / updates))
    return recipe


def explain_data_size(recipe: "Recipe", chosen: "Recipe", training_images: int) -> str | None:
    """Explains in one line what `for_data_size` chose and why.

    Args:
        recipe: the `Recipe` before.
        chosen: the `Recipe` after.
        training_images: number of images, without those for validation.

    Returns:
        The line, or None if the recipe did not change and an epoch has enough updates.

    Example:

    >>> from keras_convnext.training import RECIPES, explain_data_size, for_data_size
    >>> recipe = RECIPES["small_images"]
    >>> print(explain_data_size(recipe, for_data_size(recipe, 146), 146))
    146 training images: batches of 16 (64 would give 2 updates per epoch), 67 epochs (28 would give 252 updates in all)
    """
    updates = training_images // chosen.batch_size
    if chosen == recipe:
        if updates >= FEWEST_UPDATES_PER_EPOCH:
            return None
        return (
            f"{_count(training_images, 'training image')} in batches of {chosen.batch_size} give "
            f"{_count(updates, 'update')} of the weights per epoch, {updates * chosen.epochs} in all: "
            "a smaller batch gives more"
        )
    batch, epochs = f"batches of {chosen.batch_size}", _count(chosen.epochs, "epoch")
    if chosen.batch_size != recipe.batch_size:
        theirs = _count(training_images // recipe.batch_size, "update")
        batch += f" ({recipe.batch_size} would give {theirs} per epoch)"
    if chosen.epochs != recipe.epochs:
        epochs += f" ({recipe.epochs} would give {_count(recipe.epochs * updates, 'update')} in all)"
    return f"{_count(training_images, 'training image')}: {batch}, {epochs}"


def explain_average(recipe: "Recipe", training_images: int) -> str | None:
    """Explains in one line that the moving average of the weights is longer than the training.

    An average with momentum m is mostly one of the last 1 / (1 - m) updates. In a training with fewer updates it stays
    close to the initial weights.

    Args:
        recipe: a `Recipe`.
        training_images: number of images, without those for validation.

    Returns:
        The line, or None if there is no average, if it warms up, or if there are enough updates.

    Example:

    >>> from keras_convnext.training import RECIPES
    >>> from keras_convnext.training.data_size import explain_average
    >>> recipe = RECIPES["small_images"].with_settings({"ema": 0.9999})
    >>> print(explain_average(recipe, 1280))
    the moving average of the weights (ema=0.9999) is over about 10000 updates, and this training has 560: the model \
that is saved would stay close to its initial weights. A smaller `ema`, such as 0.98, follows the training
    """
    updates = training_images // recipe.batch_size * recipe.epochs
    if not recipe.ema or recipe.ema_warmup or updates * (1 - recipe.ema) >= 1 or not updates:
        return None
    fitting = max(0.9, math.floor(100 * (1 - 10 / updates)) / 100)
    return (
        f"the moving average of the weights (ema={recipe.ema:g}) is over about {1 / (1 - recipe.ema):.0f} updates, and "
        f"this training has {updates}: the model that is saved would stay close to its initial weights. A smaller "
        f"`ema`, such as {fitting:g}, follows the training"
    )


def check_warmup(recipe: "Recipe") -> None:
    """Refuses a recipe whose warmup is longer than the training.

    Raises:
        ValueError: the message has both numbers of epochs.
    """
    if recipe.warmup_epochs > recipe.epochs:
        raise ValueError(
            f"`warmup_epochs` must be no more than the {recipe.epochs} epochs. "
            f"Received: warmup_epochs={recipe.warmup_epochs}"
        )


def check_classes(data: ImageData) -> None:
    """Refuses labelled images of which no validation images can be sampled.

    Args:
        data: `data.ImageData` of labelled images, before `with_validation`.

    Raises:
        ValueError: a class has a single image, although another one is needed for validation.
    """
    if data.validation is not None:
        return
    counts = np.bincount(data.train.labels, minlength=len(data.class_names))
    single = [name for name, count in zip(data.class_names, counts, strict=True) if count == 1]
    if single:
        raise ValueError(
            f"{_count(len(single), 'class', 'classes')} with one image: {', '.join(map(repr, single[:5]))}"
            f"{' ...' if len(single) > 5 else ''}. Every class needs two images, one to train on and one to validate "
            "with. Add images, leave such classes out, or give validation images of your own."
        )


def _batch_size(recipe, training_images):
    """The batch size, halved until an epoch has enough updates, as long as its accumulated parts divide it."""
    batch_size = recipe.batch_size
    while training_images // batch_size < FEWEST_UPDATES_PER_EPOCH:
        half = batch_size // 2
        if half < SMALLEST_BATCH or half % recipe.accumulate:
            break
        batch_size = half
    whole_parts = training_images // recipe.accumulate * recipe.accumulate
    return min(batch_size, whole_parts) if whole_parts else batch_size


def _count(number, noun, plural=None):
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
