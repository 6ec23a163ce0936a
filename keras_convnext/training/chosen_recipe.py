"""The recipe of an experiment: the one that is named or given, with the experiment's own settings on top."""

import json
from typing import TYPE_CHECKING, NamedTuple

from keras_convnext.scalars import plain
from keras_convnext.training.recipe import Recipe, settings_config
from keras_convnext.training.recipes import RECIPES

if TYPE_CHECKING:
    from keras_convnext.training.experiment import Experiment

WHOLE = {"source", "epochs", "batch_size", "learning_rate", "warmup_epochs"}
"""What a recipe has that stands for itself, without a `base`."""

SIZED = ("batch_size", "epochs")
"""What `for_data_size` chooses by the number of images where nobody else did."""

OWN = ("dtype", "remat", "ema", "drop_path_rate", "seed")
"""Settings of an experiment that replace those of its recipe as they are."""

MIXING = ("mixup", "cutmix")


class ChosenRecipe(NamedTuple):
    """A recipe before anything is known of the images and the variant.

    Attributes:
        recipe: the `Recipe`.
        changes: settings that come after those that the recipe has for a variant.
        fixed: which of `SIZED` were given with it.
    """

    recipe: Recipe
    changes: dict
    fixed: tuple[str, ...]


def choose_recipe(given: str | dict) -> ChosenRecipe:
    """The recipe of a name, of settings under a `base`, or of all settings.

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
        raise ValueError(f"`recipe` is a name or an object. Received: recipe={given!r}")
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
    """What `choose_recipe` takes, as JSON has it: what is read from a file equals what was written.

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
    choose_recipe(given)  # what is wrong with a value comes before that it cannot be written
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
    """The recipe for a variant, with the settings of an experiment except the learning rate.

    Epochs scale the warmup, and a batch size scales the rate; see `with_learning_rate` for a rate that is given.

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
    """The recipe with another peak of the learning rate, at whatever batch size it has; None leaves it."""
    if learning_rate is None:
        return recipe
    settings = {"learning_rate": learning_rate, "min_learning_rate": min(recipe.min_learning_rate, learning_rate)}
    return recipe.with_settings(settings)


def _given(experiment, names):
    return {name: value for name in names if (value := getattr(experiment, name)) is not None}
