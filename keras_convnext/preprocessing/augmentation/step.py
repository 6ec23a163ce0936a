"""What a step of the augmentation is: what it works on, how it draws random numbers, how it is saved.

To add a step, write one file with one class: a frozen dataclass that derives from one of the classes below, according
to what it works on, and implements that class's one method. Its fields are its settings.

| a step that                                                    | derives from                                     |
|----------------------------------------------------------------|--------------------------------------------------|
| moves the pixels of a PIL image, and its annotations with them | `GeometricStep`                                  |
| changes the colours of a PIL image                             | `ImageStep`, with `moves_pixels = False`         |
| changes an array                                               | `ArrayStep`, with `moves_pixels = False`         |
| changes a batch                                                | `BatchStep`                                      |

A step that does not say so may move pixels: it works on images, and refuses an image with annotations.
"""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from keras_convnext.dataclass_fields import check_fields, dataclass_from, make_plain
from keras_convnext.preprocessing.augmentation.geometry import Transformation
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

    moves_pixels: ClassVar[bool] = True
    """Whether the step may move pixels. Set False in a class that does not: annotations go through it unchanged."""

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

    def check_annotations(self, names: Collection[str]) -> None:
        """Refuses annotations that the step cannot move with the pixels.

        Args:
            names: names of the annotations of an image, such as `"bounding_boxes"`.

        Raises:
            ValueError: the step may move pixels and does not say where to; the message says what to do.
        """
        if names and self.moves_pixels:
            raise ValueError(
                f"{type(self).__name__} cannot move {', '.join(f'`{name}`' for name in names)}: it does not say where "
                "it moves pixels. If it moves none, set `moves_pixels = False` in its class. A step on images that "
                "moves them derives from GeometricStep. Otherwise take the step or the entry out."
            )

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

    A step that moves pixels derives from `GeometricStep` instead. A step that moves none says so by
    `moves_pixels = False`, so that boxes, label maps and keypoints may go through it.

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
    ...     moves_pixels = False  # it changes colours only
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

    def augment_annotated(
        self, image: "Image", generator: np.random.Generator
    ) -> tuple["Image", Sequence[Transformation]]:
        """Augments a PIL image as `augment_image` does, and tells how its pixels were moved.

        Args:
            image: PIL image of mode `RGB` or `L`.
            generator: the only source of random numbers that may be used.

        Returns:
            The image, and the transformations that its pixels went through, in their order.

        Raises:
            ValueError: the step may move pixels and does not say where to; see `check_annotations`.
        """
        self.check_annotations(("annotations",))
        return self.augment_image(image, generator), ()

    def output_size(self, height: int | None, width: int | None) -> tuple[int | None, int | None]:
        """Returns the height and width of the result. Override it in a step that changes the size.

        Args:
            height: height of the image in pixels; None if it is not known.
            width: width of the image in pixels; None if it is not known.

        Returns:
            `(height, width)` in pixels; None if it is not known.
        """
        return height, width


class GeometricStep(ImageStep):
    """Base of the steps on one PIL image that move its pixels: boxes, label maps and keypoints move with them.

    Example, a step of your own:

    >>> from dataclasses import dataclass
    >>> from keras_convnext.preprocessing.augmentation import Affine, GeometricStep, augment_sample
    >>> @dataclass(frozen=True)
    ... class RandomShift(GeometricStep):
    ...     most: float = 8.0
    ...
    ...     def transformation(self, height, width, generator):
    ...         return Affine(height, width, (1, 0, generator.uniform(-self.most, self.most), 0, 1, 0))
    >>> import numpy as np
    >>> sample = {"images": np.zeros((32, 48, 3), "uint8"), "keypoints": [(24, 16)]}
    >>> augment_sample(sample, (0, 0, 0), [RandomShift()])["keypoints"].round(1)
    array([[16.6, 16. ]], dtype=float32)
    """

    @abstractmethod
    def transformation(self, height: int, width: int, generator: np.random.Generator) -> Transformation | None:
        """Samples the transformation of one image.

        Args:
            height: height of the image in pixels.
            width: width of the image in pixels.
            generator: the only source of random numbers that may be used.

        Returns:
            A transformation, such as `Affine`; or None, to leave the image as it is.
        """

    def check_annotations(self, names: Collection[str]) -> None:
        pass

    def augment_image(self, image: "Image", generator: np.random.Generator) -> "Image":
        return self.augment_annotated(image, generator)[0]

    def augment_annotated(
        self, image: "Image", generator: np.random.Generator
    ) -> tuple["Image", Sequence[Transformation]]:
        transformation = self.transformation(image.height, image.width, generator)
        return (image, ()) if transformation is None else (transformation.apply(image), (transformation,))


class ArrayStep(Step):
    """Base of the steps that work on one image as an array. They come after all steps on PIL images.

    An image with boxes, label maps or keypoints goes through a step with `moves_pixels = False` only.

    Example:

    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from keras_convnext.preprocessing.augmentation import ArrayStep
    >>> @dataclass(frozen=True)
    ... class RandomBrightness(ArrayStep):
    ...     most: float = 20.0
    ...     moves_pixels = False
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

    def augment_label_maps(
        self, images: np.ndarray, labels: np.ndarray, label_maps: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Augments a batch of images as `augment_batch` does, and their label maps with them.

        A step that mixes pixels overrides it, and `check_annotations`.

        Args:
            images: as for `augment_batch`.
            labels: as for `augment_batch`.
            label_maps: array of shape `(batch, height, width)` or `(batch, height, width, 1)`, which may be changed in
                place.
            generator: the only source of random numbers that may be used.

        Returns:
            `(images, labels, label_maps)`.

        Raises:
            ValueError: the step cannot mix label maps; see `check_annotations`.
        """
        self.check_annotations(("segmentation_masks",))
        return *self.augment_batch(images, labels, generator), label_maps
