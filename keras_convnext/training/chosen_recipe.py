"""The recipe of an experiment: the one that is named or given, with the experiment's own settings on top."""

import json
from typing import TYPE_CHECKING, NamedTuple

from keras_convnext.scalars import plain
from keras_convnext.training.recipe import Recipe, settings_config
from keras_convnext.training.recipes import RECIPES

if TYPE_CHECKING:
    from keras_convnext.training.experiment import Experiment

WHOLE = {"source", "epochs", "batch_size", "learning_rate", "warmup_epochs"}
"""The settings that a recipe without a `base` must have."""

SIZED = ("batch_size", "epochs")
"""The settings that `for_data_size` chooses by the number of images, unless they are given."""

OWN = ("dtype", "remat", "ema", "drop_path_rate", "seed")
"""Settings of an experiment that replace those of its recipe as they are."""

MIXING = ("mixup", "cutmix")


class ChosenRecipe(NamedTuple):
    """A recipe before the images and the variant are known.

    Attributes:
        recipe: the `Recipe`.
        changes: settings that replace the recipe's, including those that it has for a variant.
        fixed: the names in `SIZED` that were given with it.
    """

    recipe: Recipe
    changes: dict
    fixed: tuple[str, ...]


def choose_recipe(given: str | dict) -> ChosenRecipe:
    """Makes a recipe from its name, from changes to a `base`, or from all settings.

    Args:
        given: a name in `RECIPES`; a dict of settings with the `base` that they change; or a dict of a whole recipe,
            such as a run's `config.json` has.

    Raises:
        ValueError: no such recipe or setting, or a value out of range.

    Example:

    >>> from keras_convnext.training.chosen_recipe import choose_recipe
    >>> choose_recipe({"base": "digits", "epochs": 3}).fixed
    ('epochs',)
    """
    if isinstance(given, str):
        given = {"base": given}
    if not isinstance(given, dict):
        raise ValueError(f"`recipe` must be a name or a dict. Received: recipe={given!r}")
    changes = dict(given)
    base = changes.pop("base", None)
    if base is None and WHOLE - set(changes):
        raise ValueError(
            f"`recipe` needs a `base`, one of {', '.join(RECIPES)}, or all of {', '.join(sorted(WHOLE))}. "
            f"Received: recipe={given!r}"
        )
    if base is None:
        return ChosenRecipe(Recipe.from_config(changes), {}, SIZED)
    if not isinstance(base, str) or base not in RECIPES:
        raise ValueError(f"No such recipe: {base!r}. Expected one of {', '.join(RECIPES)}.")
    RECIPES[base].with_settings(changes)  # refused now, and not after the images were read
    return ChosenRecipe(RECIPES[base], changes, tuple(name for name in SIZED if name in changes))


def recipe_as_json(given: dict) -> dict:
    """Converts settings for `choose_recipe` to JSON types, so that reading them from a file gives equal settings.

    Args:
        given: a dict of settings, whose augmentation may be a list of steps.

    Raises:
        ValueError: a value that JSON cannot hold; and as `choose_recipe`.

    Example:

    >>> from keras_convnext.preprocessing.augmentation import RandomFlip
    >>> from keras_convnext.training.chosen_recipe import recipe_as_json
    >>> recipe_as_json({"base": "digits", "augmentation": [RandomFlip(0.25)]})
    {'base': 'digits', 'augmentation': [{'class': 'RandomFlip', 'probability': 0.25}]}
    """
    choose_recipe(given)  # an error about a value takes precedence over one about writing it
    return _through_json(plain(settings_config(given)))


def _through_json(settings):
    if not isinstance(settings, dict):
        return settings
    found = {}
    for name, value in settings.items():
        if name == "variants" and isinstance(value, dict):
            found[name] = {variant: _through_json(changes) for variant, changes in value.items()}
            continue
        try:
            found[name] = json.loads(json.dumps(value))
        except TypeError as error:
            raise ValueError(f"`{name}` of `recipe` cannot be written as JSON. Received: {name}={value!r}") from error
    return found


def adapted_recipe(
    chosen: ChosenRecipe,
    experiment: "Experiment",
    variant: str | None = None,
    image_size: tuple[int, int] | None = None,
) -> Recipe:
    """Adapts a recipe to a variant and to the settings of an experiment, except the learning rate.

    The number of epochs scales the warmup, and the batch size scales the learning rate. `with_learning_rate` sets a
    rate that is given.

    Args:
        chosen: what `choose_recipe` returned.
        experiment: an `Experiment`.
        variant: a name in `VARIANTS`. Defaults to None: not known.
        image_size: `(height, width)` in pixels. Defaults to None: the recipe's.

    Raises:
        ValueError: a value out of range, or one that this recipe has no use for.
    """
    recipe = chosen.recipe.for_variant(variant).with_settings(chosen.changes)
    accumulate = recipe.accumulate if experiment.accumulate is None else experiment.accumulate
    settings = _given(experiment, OWN) | {"accumulate": 1}
    if experiment.epochs is not None:
        settings["epochs"] = experiment.epochs
    if image_size is not None:
        settings["image_size"] = image_size
    mixing = _given(experiment, MIXING)
    if recipe.augmentation is not None and mixing:
        settings["augmentation"] = mixing
    elif any(mixing.values()):
        name = next(name for name, value in mixing.items() if value)
        raise ValueError(
            f"`{name}` is for a recipe that augments the images, and this one does not. Choose another `recipe`, such "
            f"as small_images. Received: {name}={mixing[name]}"
        )
    recipe = recipe.with_settings(settings)
    if experiment.batch_size is not None:
        recipe = recipe.at_batch_size(experiment.batch_size)
    if experiment.freeze is not None and recipe.unfreeze is not None:
        raise ValueError(
            "`freeze` is for a recipe in which all layers learn from the start, and this one unfreezes the stages one "
            f"after the other. Leave it out, or choose another `recipe`. Received: freeze={experiment.freeze}"
        )
    return recipe.with_settings({"accumulate": accumulate})


def with_learning_rate(recipe: Recipe, learning_rate: float | None) -> Recipe:
    """Returns the recipe with another peak of the learning rate, unscaled by the batch size; None keeps it."""
    if learning_rate is None:
        return recipe
    settings = {"learning_rate": learning_rate, "min_learning_rate": min(recipe.min_learning_rate, learning_rate)}
    return recipe.with_settings(settings)


def _given(experiment, names):
    return {name: value for name in names if (value := getattr(experiment, name)) is not None}
