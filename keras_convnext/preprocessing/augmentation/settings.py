"""Short names for settings of the paper's augmentation, such as `mixup`: each names a field of a class of steps.

`Augmentation(mixup=0.2)` and `{"augmentation": {"mixup": 0.2}}` in a file of settings take these names, and version
0.2.0 wrote them into a run's `config.json`. To change a step that has no short names, give the whole list of steps.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from keras_convnext.preprocessing.augmentation.mix import MixUpOrCutMix
from keras_convnext.preprocessing.augmentation.rand_augment import RandAugment
from keras_convnext.preprocessing.augmentation.random_erasing import RandomErasing
from keras_convnext.preprocessing.augmentation.random_flip import RandomFlip
from keras_convnext.preprocessing.augmentation.random_resized_crop import RandomResizedCrop
from keras_convnext.preprocessing.augmentation.step import Step

ORDER = (RandomResizedCrop, RandomFlip, RandAugment, RandomErasing, MixUpOrCutMix)
"""The steps of the paper's augmentation (arXiv:2201.03545, Table 5), in the order in which they are applied."""


class Setting(NamedTuple):
    """A field of a class of steps."""

    step: type[Step]
    field: str


SETTINGS = {
    "scale": Setting(RandomResizedCrop, "scale"),
    "ratio": Setting(RandomResizedCrop, "ratio"),
    "flip_probability": Setting(RandomFlip, "probability"),
    "rand_augment": Setting(RandAugment, "magnitude"),
    "erasing_probability": Setting(RandomErasing, "probability"),
    "mixup": Setting(MixUpOrCutMix, "mixup"),
    "cutmix": Setting(MixUpOrCutMix, "cutmix"),
}

RENAMED = {"flip_rate": "flip_probability", "erasing_rate": "erasing_probability"}
"""The short names of version 0.2.0."""


def read_setting(steps: Sequence[Step], name: str) -> Any:
    """The value of a setting.

    Args:
        steps: the steps of an augmentation.
        name: a key of `SETTINGS`.

    Returns:
        The field of the first such step. If there is none, 0 for a field that turns the step off, else None.
    """
    kind, field = SETTINGS[name]
    for step in steps:
        if type(step) is kind:
            return getattr(step, field)
    return 0.0 if field in kind.STRENGTHS else None


def change_settings(steps: Sequence[Step], changes: dict) -> list[Step]:
    """Returns the steps with some settings changed.

    A step that a change turns off is removed, for example by `mixup=0.0` without CutMix. A missing step is added, with
    its other settings at their defaults.

    Args:
        steps: the steps of an augmentation.
        changes: new values by their names in `SETTINGS`; names in `RENAMED` are accepted too.

    Raises:
        ValueError: an unknown setting, or a value out of its range; the message names it.
    """
    changes = {RENAMED.get(name, name): value for name, value in changes.items()}
    unknown = sorted(set(changes) - set(SETTINGS))
    if unknown:
        raise ValueError(f"No such setting: {', '.join(unknown)}. Augmentation has {', '.join(sorted(SETTINGS))}.")
    steps = list(steps)
    for kind in ORDER:
        names = [name for name in changes if SETTINGS[name].step is kind]
        if names:
            steps = _changed(steps, kind, {name: changes[name] for name in names})
    return steps


def _changed(steps, kind, changes):
    """The steps, with changed settings in the steps of one class."""
    if not any(type(step) is kind for step in steps):
        steps = _inserted(steps, kind(**dict.fromkeys(kind.STRENGTHS, 0.0)))
    for name, value in changes.items():
        value = tuple(value) if isinstance(value, list) else value
        try:
            steps = [replace(one, **{SETTINGS[name].field: value}) if type(one) is kind else one for one in steps]
        except ValueError as error:
            raise ValueError(_in_words_of_the_caller(str(error), SETTINGS[name].field, name)) from error
    return [step for step in steps if not (type(step) is kind and step.is_off)]


def _in_words_of_the_caller(message, field, name):
    """A step's message on one of its fields, with the setting's name in place of the field's."""
    return message.replace(f"`{field}`", f"`{name}`").replace(f"{field}=", f"{name}=")


def _inserted(steps, new):
    """Inserts a new step after those that precede it in the paper's order, or by what they work on."""
    before = ORDER[: ORDER.index(type(new))]
    place = max((index + 1 for index, step in enumerate(steps) if type(step) in before), default=0)
    while place < len(steps) and _rank(steps[place]) < _rank(new):
        place += 1
    return [*steps[:place], new, *steps[place:]]


def _rank(step):
    return ("images", "arrays", "batches").index(step.works_on)
