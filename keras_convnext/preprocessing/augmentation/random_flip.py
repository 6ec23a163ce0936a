"""Mirroring, left to right."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import keras
import numpy as np

from keras_convnext.extras import require
from keras_convnext.preprocessing.augmentation.step import ImageStep
from keras_convnext.scalars import between

if TYPE_CHECKING:
    from PIL.Image import Image


@keras.saving.register_keras_serializable(package="keras_convnext")
@dataclass(frozen=True)
class RandomFlip(ImageStep):
    """Mirrors an image left to right.

    Attributes:
        probability: probability of mirroring, in [0, 1]. Defaults to 0.5.

    Raises:
        ValueError: a probability out of its range.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.preprocessing.augmentation import RandomFlip, augment_image, to_pil
    >>> image = to_pil(np.array([[[1], [2], [3]]], "uint8"))
    >>> augment_image(image, (0, 0, 0), [RandomFlip(probability=1.0)]).ravel().tolist()
    [3, 2, 1]
    """

    SALT: ClassVar[int] = 1
    STRENGTHS: ClassVar[tuple[str, ...]] = ("probability",)
    RENAMED: ClassVar[dict[str, str]] = {"rate": "probability"}

    probability: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        between("probability", self.probability, 0, 1)

    def augment_image(self, image: "Image", generator: np.random.Generator) -> "Image":
        if generator.random() >= self.probability:
            return image
        return image.transpose(require("PIL.Image", extra="cli").Transpose.FLIP_LEFT_RIGHT)
