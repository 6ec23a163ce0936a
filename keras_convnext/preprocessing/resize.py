"""From a picture of any size to the network's: shorter side resized, centre cropped, with Pillow's bicubic filter."""

from dataclasses import dataclass

import numpy as np

from keras_convnext.extras import require


@dataclass(frozen=True)
class ResizeAndCrop:
    """Resizes the shorter side to the target's and crops the centre. Images that have the size stay as they are.

    Attributes:
        height: int, pixels.
        width: int, pixels.

    Call: a uint8 array of shape `(any, any, channels)`; returns one of shape `(height, width, channels)`.

    Example:

    >>> ResizeAndCrop(24, 24)(np.zeros((32, 48, 3), "uint8")).shape
    (24, 24, 3)
    """

    height: int
    width: int

    def __post_init__(self):
        require("PIL.Image", extra="cli")

    def __call__(self, image):
        height, width, channels = image.shape
        if (height, width) == (self.height, self.width):
            return image
        pillow = require("PIL.Image", extra="cli")
        scale = max(self.height / height, self.width / width)
        size = (max(self.width, round(scale * width)), max(self.height, round(scale * height)))
        planes = [
            np.asarray(pillow.fromarray(image[..., channel]).resize(size, pillow.Resampling.BICUBIC))
            for channel in range(channels)
        ]
        resized = np.clip(np.stack(planes, axis=-1), 0, 255)  # the filter overshoots; Pillow clips uint8 alone
        top, left = (size[1] - self.height) // 2, (size[0] - self.width) // 2
        return resized[top : top + self.height, left : left + self.width]
