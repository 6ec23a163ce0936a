"""Mirroring, left to right."""

from dataclasses import dataclass
from typing import ClassVar

import keras
import numpy as np

from keras_convnext.preprocessing.augmentation.geometry import FlipLeftRight
from keras_convnext.preprocessing.augmentation.step import GeometricStep
from keras_convnext.scalars import between


@keras.saving.register_keras_serializable(package="keras_convnext")
@dataclass(frozen=True)
class RandomFlip(GeometricStep):
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

    def transformation(self, height: int, width: int, generator: np.random.Generator) -> FlipLeftRight | None:
        return FlipLeftRight(height, width) if generator.random() < self.probability else None
