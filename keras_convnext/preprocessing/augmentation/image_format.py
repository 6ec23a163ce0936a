"""What augmented images must become: their size, their channels, and how the model normalizes them."""

from dataclasses import dataclass

from keras_convnext.dataclass_fields import check_fields, make_plain
from keras_convnext.normalization import mean_and_std


@dataclass(frozen=True)
class ImageFormat:
    """The images that a model trains on. Steps take from it what depends on the model, see `Step.for_images`.

    Attributes:
        height: pixels.
        width: pixels.
        channels: 3 or 1.
        mean: one value per channel in units of 0..1, which the model subtracts. Defaults to None: ImageNet's for three
            channels, their average for one.
        std: one value per channel in units of 0..1, which the model divides by. Defaults to None, likewise.

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
