"""What the steps of an augmentation have in common, and pictures through several of them."""

from dataclasses import asdict

import numpy as np

from keras_convnext.extras import require
from keras_convnext.scalars import check_fields, make_plain

Image = require("PIL.Image", extra="cli")


class Step:
    """Base of the steps, which are frozen dataclasses. `SALT`, of each kind its own, makes them draw independently."""

    SALT = 0

    def __post_init__(self):
        make_plain(self)
        check_fields(self)

    def generator(self, seed):
        """A NumPy generator for three whole numbers: the training's seed, the epoch, the image."""
        return np.random.Generator(np.random.Philox(np.random.SeedSequence([*map(int, seed), self.SALT])))

    def get_config(self):
        return asdict(self)

    @classmethod
    def from_config(cls, config):
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in config.items()})


class PictureStep(Step):
    """Base of the steps that work on Pillow images of mode `RGB` or `L`."""

    def augment_picture(self, picture, generator):
        """The Pillow image, augmented with what the `numpy.random.Generator` draws."""
        raise NotImplementedError


def augment_picture(picture, seed, steps):
    """An image through several steps, without an array between them.

    Args:
        picture: Pillow image of mode `RGB` or `L`.
        seed: three whole numbers: the training's seed, the epoch, the image.
        steps: sequence of `PictureStep`.

    Returns:
        A uint8 array of shape `(height, width, channels)`.
    """
    for step in steps:
        picture = step.augment_picture(picture, step.generator(seed))
    return np.asarray(picture).reshape(picture.height, picture.width, -1)


def picture_of(image):
    """The Pillow image of a uint8 array of three channels or one."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
