"""How training images are augmented: an ordered list of steps, as data."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import keras

from keras_convnext.preprocessing.augmentation.image_format import ImageFormat
from keras_convnext.preprocessing.augmentation.settings import ORDER, change_settings, read_setting
from keras_convnext.preprocessing.augmentation.step import Step, check_step

PACKAGE = "keras_convnext>"
"""Prefix of the names under which this package's steps are registered with Keras."""


class UnknownStepError(ValueError):
    """A step in a configuration whose class is not known, such as one of a module that was not imported."""


@dataclass(frozen=True, init=False)
class Augmentation:
    """The augmentation of a training: an ordered list of steps that each image goes through.

    Steps on images come first, then steps on arrays, then steps on batches. The other arguments are short names for
    settings of the paper's steps: `Augmentation(mixup=0.2)` is the paper's augmentation with another MixUp. Each is an
    attribute too. Each defaults to None, which leaves the setting as it is in `steps`. A step that is turned off is
    removed.

    Args:
        steps: sequence of steps. Defaults to None: the paper's (arXiv:2201.03545, Table 5), with timm's details.
        scale: smallest and largest area of the random crop, as a share of the image's area.
        ratio: smallest and largest aspect ratio (width / height) of the random crop.
        flip_probability: probability of mirroring an image.
        rand_augment: magnitude of RandAugment in 0..10, 0 for none.
        erasing_probability: probability of replacing a rectangle by noise.
        mixup: MixUp's concentration, 0 for none.
        cutmix: CutMix's concentration, 0 for none. With both on, each batch gets one of them, MixUp or CutMix, with
            equal probability.

    Raises:
        ValueError: a value out of its range, an item that is not a step, or steps in a wrong order.

    Example:

    >>> from keras_convnext.preprocessing import Augmentation
    >>> from keras_convnext.preprocessing.augmentation import RandomFlip, RandomResizedCrop
    >>> Augmentation(mixup=0.0, cutmix=0.0).rand_augment
    9.0
    >>> Augmentation([RandomResizedCrop(scale=(0.7, 1.0)), RandomFlip()]).get_config()[1]
    {'class': 'RandomFlip', 'probability': 0.5}
    """

    steps: tuple[Step, ...]

    def __init__(
        self,
        steps: Sequence[Step] | None = None,
        *,
        scale: tuple[float, float] | None = None,
        ratio: tuple[float, float] | None = None,
        flip_probability: float | None = None,
        rand_augment: float | None = None,
        erasing_probability: float | None = None,
        mixup: float | None = None,
        cutmix: float | None = None,
    ):
        given = {
            "scale": scale,
            "ratio": ratio,
            "flip_probability": flip_probability,
            "rand_augment": rand_augment,
            "erasing_probability": erasing_probability,
            "mixup": mixup,
            "cutmix": cutmix,
        }
        steps = tuple(kind() for kind in ORDER) if steps is None else _checked(steps)
        changes = {name: value for name, value in given.items() if value is not None}
        object.__setattr__(self, "steps", tuple(change_settings(steps, changes)))

    @property
    def scale(self) -> tuple[float, float] | None:
        """`scale` of `RandomResizedCrop`; None if there is no such step."""
        return read_setting(self.steps, "scale")

    @property
    def ratio(self) -> tuple[float, float] | None:
        """`ratio` of `RandomResizedCrop`; None if there is no such step."""
        return read_setting(self.steps, "ratio")

    @property
    def flip_probability(self) -> float:
        """`probability` of `RandomFlip`; 0 if there is no such step."""
        return read_setting(self.steps, "flip_probability")

    @property
    def rand_augment(self) -> float:
        """`magnitude` of `RandAugment`; 0 if there is no such step."""
        return read_setting(self.steps, "rand_augment")

    @property
    def erasing_probability(self) -> float:
        """`probability` of `RandomErasing`; 0 if there is no such step."""
        return read_setting(self.steps, "erasing_probability")

    @property
    def mixup(self) -> float:
        """`mixup` of `MixUpOrCutMix`; 0 if there is no such step."""
        return read_setting(self.steps, "mixup")

    @property
    def cutmix(self) -> float:
        """`cutmix` of `MixUpOrCutMix`; 0 if there is no such step."""
        return read_setting(self.steps, "cutmix")

    def for_images(self, images: ImageFormat) -> "Augmentation":
        """Returns the augmentation with the settings filled in that depend on the images and on the model.

        Args:
            images: format of the augmented images.
        """
        return Augmentation([step.for_images(images) for step in self.steps])

    def steps_on(self, kind: str) -> list[Step]:
        """Returns the steps that work on one kind of input.

        Args:
            kind: `"images"`, `"arrays"` or `"batches"`.
        """
        return [step for step in self.steps if step.works_on == kind]

    def get_config(self) -> list[dict]:
        """Returns the steps as JSON types: a dict per step, with its class and its settings.

        Raises:
            ValueError: the class of a step is not registered with Keras.
        """
        return [{"class": _name_of(type(step)), **step.get_config()} for step in self.steps]

    @classmethod
    def from_config(cls, config: list[dict] | dict, base: "Augmentation | None" = None) -> "Augmentation":
        """Creates an augmentation from a configuration.

        Args:
            config: a list of steps, as `get_config` returns it; or a dict of settings by their short names, such as
                `{"mixup": 0.2}`, which change `base`. Version 0.2.0 wrote such dicts.
            base: the augmentation that a dict changes. Defaults to None: the paper's augmentation.

        Raises:
            ValueError: an unknown step or setting, or a value out of its range.

        Example:

        >>> from keras_convnext.preprocessing import Augmentation
        >>> Augmentation.from_config([{"class": "RandomFlip", "probability": 0.25}])
        Augmentation(steps=(RandomFlip(probability=0.25),))
        """
        if isinstance(config, dict):
            return cls(change_settings((base or cls()).steps, config))
        return cls([_step_from(one) for one in config])


def _checked(steps):
    """The steps as a tuple, or an error that says what is wrong with them."""
    is_sequence = isinstance(steps, Sequence) and not isinstance(steps, str)
    if not is_sequence:
        raise ValueError(f"`steps` must be a sequence of steps. Received: steps={steps!r}")
    for step in steps:
        check_step(step)
    kinds = ("images", "arrays", "batches")
    for first, second in pairwise(steps):
        if kinds.index(first.works_on) > kinds.index(second.works_on):
            raise ValueError(
                "Steps on images must come first, then steps on arrays, then steps on batches. Received: "
                f"{type(first).__name__} (on {first.works_on}) before {type(second).__name__} (on {second.works_on})"
            )
    return tuple(steps)


def _name_of(kind):
    """The name under which a class of steps is saved."""
    name = keras.saving.get_registered_name(kind)
    if keras.saving.get_registered_object(name) is not kind:
        raise ValueError(
            f"{kind.__name__} cannot be saved in a configuration: put "
            f'`@keras.saving.register_keras_serializable(package="...")` above its `@dataclass(frozen=True)`.'
        )
    return name.removeprefix(PACKAGE)


def _step_from(config):
    """Creates a step from a dict with its class and settings."""
    if not isinstance(config, dict) or not isinstance(config.get("class"), str):
        raise ValueError(f'Expected a dict such as {{"class": "RandomFlip", "probability": 0.5}}. Received: {config!r}')
    name = config["class"]
    for registered in (PACKAGE + name, name):
        kind = keras.saving.get_registered_object(registered)
        if isinstance(kind, type) and issubclass(kind, Step):
            return kind.from_config({key: value for key, value in config.items() if key != "class"})
    known = sorted(
        registered.removeprefix(PACKAGE)
        for registered, kind in keras.saving.get_custom_objects().items()
        if isinstance(kind, type) and issubclass(kind, Step)
    )
    raise UnknownStepError(
        f"No such step: {name!r}. Expected one of {', '.join(known)}. A step of your own is known once the module that "
        "defines it has been imported."
    )
