"""What a step of the augmentation is: what it works on, how it draws random numbers, how it is saved.

To add a step, write one file with one class: a frozen dataclass that derives from `ImageStep`, `ArrayStep` or
`BatchStep`, according to what it works on, and implements that class's one method. Its fields are its settings. See
`ImageStep` for an example.
"""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from keras_convnext.dataclass_fields import check_fields, dataclass_from, make_plain
from keras_convnext.preprocessing.augmentation.image_format import ImageFormat

if TYPE_CHECKING:
    from PIL.Image import Image


class Step(ABC):
    """Base of all steps. Derive from `ImageStep`, `ArrayStep` or `BatchStep` instead.

    A step is a frozen dataclass. A number whose type differs from its field's annotation is refused. A step that
    restricts its fields further does so in `__post_init__`, after `super().__post_init__()`.

    Example:

    >>> from keras_convnext.preprocessing.augmentation import RandomFlip, Step
    >>> isinstance(RandomFlip(), Step)
    True
    >>> RandomFlip.from_config({"probability": 0.25}).is_off
    False
    """

    works_on: ClassVar[str]
    """What the step works on: `"images"`, `"arrays"` or `"batches"`."""

    SALT: ClassVar[int | None] = None
    """A number that makes this class's random numbers independent of other steps'. None: derived from its name."""

    STRENGTHS: ClassVar[tuple[str, ...]] = ()
    """The fields that turn the step off when all of them are 0."""

    RENAMED: ClassVar[dict[str, str]] = {}
    """The fields' names by those of earlier versions, for configurations that were saved then."""

    def __post_init__(self):
        make_plain(self)
        check_fields(self)

    def for_images(self, images: ImageFormat) -> "Step":
        """Returns the step with settings filled in that depend on the images, such as their size. Override if needed.

        Args:
            images: format of the augmented images.
        """
        return self

    @property
    def is_off(self) -> bool:
        """Whether the step leaves everything as it is."""
        return bool(self.STRENGTHS) and not any(getattr(self, name) for name in self.STRENGTHS)

    def generator(self, seed: Sequence[int], repeat: int = 0) -> np.random.Generator:
        """Creates the random generator of this step for one image or for one batch.

        Args:
            seed: three integers: the training's seed, the epoch, and the index of the image (of a batch's first image).
            repeat: how many steps of the same class come before it in the augmentation.
        """
        salt = zlib.crc32(type(self).__qualname__.encode()) if self.SALT is None else self.SALT
        entropy = [*map(int, seed), salt, *([repeat] if repeat else [])]
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))

    def get_config(self) -> dict:
        """Returns the step's settings by name."""
        return asdict(self)  # type: ignore[call-overload]  # each class of steps is a dataclass

    @classmethod
    def from_config(cls, config: dict) -> "Step":
        """Creates a step from its settings. The names that version 0.2.0 used are accepted.

        Args:
            config: settings by name.

        Raises:
            ValueError: an unknown setting, or a value out of its range.
        """
        return dataclass_from(cls, {cls.RENAMED.get(name, name): value for name, value in config.items()})


def check_step(step: object) -> None:
    """Refuses an object that is not a step.

    Raises:
        ValueError: the message says what was expected.
    """
    if isinstance(step, type) and issubclass(step, Step):
        raise ValueError(f"Expected a step, but received its class: write `{step.__name__}()`.")
    if not isinstance(step, Step):
        raise ValueError(f"Expected a step that derives from ImageStep, ArrayStep or BatchStep. Received: {step!r}")


class ImageStep(Step):
    """Base of the steps that work on one PIL image, of mode `RGB` or `L`.

    Example, a step of your own:

    >>> from dataclasses import dataclass
    >>> import keras
    >>> from PIL import ImageOps
    >>> from keras_convnext.preprocessing import Augmentation
    >>> from keras_convnext.preprocessing.augmentation import ImageStep, RandomFlip, RandomResizedCrop
    >>> @keras.saving.register_keras_serializable(package="mine")
    ... @dataclass(frozen=True)
    ... class RandomInvert(ImageStep):
    ...     probability: float = 0.1
    ...
    ...     def augment_image(self, image, generator):
    ...         return ImageOps.invert(image) if generator.random() < self.probability else image
    >>> augmentation = Augmentation([RandomResizedCrop(), RandomFlip(), RandomInvert(0.2)])
    >>> augmentation.get_config()[-1]
    {'class': 'mine>RandomInvert', 'probability': 0.2}
    """

    works_on: ClassVar[str] = "images"

    @abstractmethod
    def augment_image(self, image: "Image", generator: np.random.Generator) -> "Image":
        """Augments a PIL image.

        Args:
            image: PIL image of mode `RGB` or `L`.
            generator: the only source of random numbers that may be used.

        Returns:
            A PIL image of the same mode. Its size may differ.
        """

    def output_size(self, height: int | None, width: int | None) -> tuple[int | None, int | None]:
        """Returns the height and width of the result. Override it in a step that changes the size.

        Args:
            height: height of the image in pixels; None if it is not known.
            width: width of the image in pixels; None if it is not known.

        Returns:
            `(height, width)` in pixels; None if it is not known.
        """
        return height, width


class ArrayStep(Step):
    """Base of the steps that work on one image as an array. They come after all steps on PIL images.

    Example:

    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from keras_convnext.preprocessing.augmentation import ArrayStep
    >>> @dataclass(frozen=True)
    ... class RandomBrightness(ArrayStep):
    ...     most: float = 20.0
    ...
    ...     def augment_array(self, pixels, generator):
    ...         return pixels + np.float32(generator.uniform(-self.most, self.most))
    >>> RandomBrightness(most=10.0).works_on
    'arrays'
    """

    works_on: ClassVar[str] = "arrays"

    @abstractmethod
    def augment_array(self, pixels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Augments an image.

        Args:
            pixels: read-only float32 array of shape `(height, width, channels)`, in 0..255 before the first such step.
            generator: the only source of random numbers that may be used.

        Returns:
            A float32 array of the same shape, which may exceed 0..255; or `pixels` itself, to leave the image as it is.
        """


class BatchStep(Step):
    """Base of the steps that work on a whole batch. They come last.

    Example:

    >>> from dataclasses import dataclass
    >>> from keras_convnext.preprocessing.augmentation import BatchStep
    >>> @dataclass(frozen=True)
    ... class ReverseBatch(BatchStep):
    ...     def augment_batch(self, images, labels, generator):
    ...         return images[::-1], labels[::-1]
    >>> ReverseBatch().works_on
    'batches'
    """

    works_on: ClassVar[str] = "batches"

    @abstractmethod
    def augment_batch(
        self, images: np.ndarray, labels: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Augments a batch.

        Args:
            images: float32 array of shape `(batch, height, width, channels)`, which may be changed in place.
            labels: array of shape `(batch, classes)`, the probability of each class.
            generator: the only source of random numbers that may be used.

        Returns:
            `(images, labels)`, both float32 and of the same shapes.
        """
