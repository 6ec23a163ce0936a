"""The format of augmented images: their size, their channels, and how the model normalizes them."""

from dataclasses import dataclass

from keras_convnext.dataclass_fields import check_fields, make_plain
from keras_convnext.normalization import mean_and_std


@dataclass(frozen=True)
class ImageFormat:
    """The format of the images that a model trains on. Steps adapt to it by `Step.for_images`.

    Attributes:
        height: height in pixels.
        width: width in pixels.
        channels: number of channels, 3 or 1.
        mean: what the model subtracts, one value per channel in units of 0..1. Defaults to None: ImageNet's for three
            channels, their average for one.
        std: what the model divides by, one value per channel in units of 0..1. Defaults to None: chosen as for `mean`.

    Raises:
        ValueError: a value of another type.

    Example:

    >>> from keras_convnext.preprocessing.augmentation import ImageFormat
    >>> ImageFormat(224, 224).mean
    (0.485, 0.456, 0.406)
    """

    height: int
    width: int
    channels: int = 3
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self):
        make_plain(self)
        check_fields(self)
        for name, values in zip(("mean", "std"), mean_and_std(self.channels, self.mean, self.std), strict=True):
            object.__setattr__(self, name, values)
