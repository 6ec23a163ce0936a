"""RandAugment (arXiv:1909.13719) as the authors use it: timm's `rand-m9-mstd0.5-inc1`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import keras
import numpy as np

from keras_convnext.normalization import IMAGENET_MEAN
from keras_convnext.preprocessing.augmentation.geometry import Transformation
from keras_convnext.preprocessing.augmentation.image_format import ImageFormat
from keras_convnext.preprocessing.augmentation.step import ImageStep
from keras_convnext.scalars import between, integer, number

if TYPE_CHECKING:
    from PIL.Image import Image

LEVELS = 10.0
"""The greatest magnitude."""


@keras.saving.register_keras_serializable(package="keras_convnext")
@dataclass(frozen=True)
class RandAugment(ImageStep):
    """Applies operations to an image. They are sampled with replacement, each with a magnitude around a given one.

    `rand_augment_operations.OPERATIONS` lists the operations. Rotations, shears and translations move the annotations
    of an image too. A box becomes the smallest box that contains its moved corners, as in keras-cv.

    Attributes:
        magnitude: mean of the magnitude, in [0, 10]. Defaults to 9.
        magnitude_std: standard deviation of the magnitude, which is clipped to [0, 10]. Defaults to 0.5.
        count: number of operations per image. Defaults to 2.
        probability: probability of applying an operation that was sampled, in [0, 1]. Defaults to 0.5.
        fill: colour in 0..255 of pixels that come in from outside the image. Defaults to None: in a training, the mean
            that the model subtracts; if the step is used by itself, ImageNet's mean.

    Raises:
        ValueError: a value out of its range.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.preprocessing.augmentation import RandAugment, augment_image, to_pil
    >>> image = to_pil(np.zeros((32, 48, 3), "uint8"))
    >>> augment_image(image, (0, 0, 0), [RandAugment(magnitude=5.0)]).shape
    (32, 48, 3)
    """

    SALT: ClassVar[int] = 3
    STRENGTHS: ClassVar[tuple[str, ...]] = ("magnitude",)
    RENAMED: ClassVar[dict[str, str]] = {"rate": "probability"}

    magnitude: float = 9.0
    magnitude_std: float = 0.5
    count: int = 2
    probability: float = 0.5
    fill: tuple[int, ...] | None = None

    def __post_init__(self):
        super().__post_init__()
        between("magnitude", self.magnitude, 0, LEVELS)
        number("magnitude_std", self.magnitude_std, 0)
        integer("count", self.count, 0)
        between("probability", self.probability, 0, 1)

    def for_images(self, images: ImageFormat) -> "RandAugment":
        return replace(self, fill=self.fill or _colour(images.mean))

    def sample(self, generator: np.random.Generator) -> list[tuple]:
        """Samples the operations for an image: their names and amounts.

        Args:
            generator: source of all random numbers.
        """
        from keras_convnext.preprocessing.augmentation.rand_augment_operations import OPERATIONS

        names = tuple(OPERATIONS)
        indices = generator.integers(len(names), size=self.count)
        chances, signs = generator.random((2, self.count))
        magnitudes = np.clip(generator.normal(self.magnitude, self.magnitude_std, self.count), 0, LEVELS) / LEVELS
        sampled = []
        for index, chance, sign, magnitude in zip(indices, chances, signs, magnitudes.tolist(), strict=True):
            if chance < self.probability:
                operation = OPERATIONS[names[index]]
                is_negative = operation.signed and sign < 0.5
                sampled.append((names[index], operation.amount(-magnitude if is_negative else magnitude)))
        return sampled

    def check_annotations(self, names: Collection[str]) -> None:
        pass

    def augment_image(self, image: "Image", generator: np.random.Generator) -> "Image":
        return self.augment_annotated(image, generator)[0]

    def augment_annotated(
        self, image: "Image", generator: np.random.Generator
    ) -> tuple["Image", Sequence[Transformation]]:
        from keras_convnext.preprocessing.augmentation.rand_augment_operations import OPERATIONS

        fill = self.fill or _colour(IMAGENET_MEAN)
        fill = fill if image.mode == "RGB" else round(sum(fill) / len(fill))
        transformations = []
        for name, amount in self.sample(generator):
            transformation = OPERATIONS[name].transformation(image, amount, fill)
            image = OPERATIONS[name].apply(image, amount, fill)
            transformations += [] if transformation is None else [transformation]
        return image, transformations


def _colour(mean):
    """The RGB colour in 0..255 of a mean in 0..1, of three channels or one."""
    return tuple(round(255 * value) for value in (mean if len(mean) == 3 else mean * 3))
