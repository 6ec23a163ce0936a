"""How training images are augmented, as data; and the steps that do it."""

from dataclasses import dataclass

from keras_convnext.extras import require
from keras_convnext.normalization import mean_and_std
from keras_convnext.scalars import make_plain, number


@dataclass(frozen=True)
class Augmentation:
    """The augmentation of a training. The defaults are the paper's (arXiv:2201.03545, Table 5), with timm's details.

    Attributes:
        scale: least and greatest area of the part that is cropped, of the image's.
        ratio: least and greatest width over height of the part.
        flip_rate: how often an image is mirrored.
        rand_augment: magnitude of RandAugment in 0..10, 0 for none: two operations, each applied half of the time, with
            a deviation of 0.5.
        erasing_rate: how often a rectangle is replaced by noise.
        mixup: MixUp's concentration, 0 for none.
        cutmix: CutMix's; where there are both, each has half of the batches.

    Raises:
        ValueError: a number out of its range.

    Example:

    >>> from keras_convnext.preprocessing import Augmentation
    >>> Augmentation(mixup=0.0, cutmix=0.0).rand_augment
    9.0
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip_rate: float = 0.5
    rand_augment: float = 9.0
    erasing_rate: float = 0.25
    mixup: float = 0.8
    cutmix: float = 1.0

    def __post_init__(self):
        make_plain(self)
        for name in ("flip_rate", "rand_augment", "erasing_rate", "mixup", "cutmix"):
            number(name, getattr(self, name))
        for name in ("scale", "ratio"):
            value = getattr(self, name)
            self._check(name, isinstance(value, tuple) and len(value) == 2, "two numbers")
        for name in ("flip_rate", "erasing_rate"):
            self._check(name, 0 <= getattr(self, name) <= 1, "from 0 to 1")
        for name in ("scale", "ratio"):
            least, greatest = getattr(self, name)
            self._check(name, 0 < least <= greatest, "two positive numbers, the greater last")
        self._check("scale", self.scale[1] <= 1, "at most 1")
        self._check("rand_augment", 0 <= self.rand_augment <= 10, "from 0 to 10")
        for name in ("mixup", "cutmix"):
            self._check(name, getattr(self, name) == 0 or getattr(self, name) >= 0.1, "0, or 0.1 and more")

    def _check(self, name, is_right, expected):
        if not is_right:
            raise ValueError(f"`{name}` must be {expected}. Received: {name}={getattr(self, name)}")

    def picture_steps(self, height, width, channels=3, mean=None):
        """The steps for one image after the other, on Pillow images.

        Args:
            height, width: int, pixels of the results.
            channels: int, of the images, 3 or 1. Defaults to 3.
            mean: tuple of float in units of 0..1, the colour of what comes in from outside. Defaults to ImageNet's.

        Raises:
            ModuleNotFoundError: Pillow is not installed.
        """
        require("PIL", extra="cli")
        from keras_convnext.preprocessing import augmentation

        steps = [augmentation.RandomResizedCrop(height, width, self.scale, self.ratio)]
        if self.flip_rate:
            steps.append(augmentation.RandomFlip(self.flip_rate))
        if self.rand_augment:
            mean, _ = mean_and_std(channels, mean)
            fill = tuple(round(255 * number) for number in (mean if len(mean) == 3 else mean * 3))
            steps.append(augmentation.RandAugment(self.rand_augment, fill=fill))
        return steps

    def erasing(self, channels=3, mean=None, std=None):
        """The step that erases a part of an image.

        Args:
            channels: int, of the images, 3 or 1. Defaults to 3.
            mean, std: tuple of float, what the model normalizes with: erased pixels are standard normal after it.
                Default to ImageNet's, and to their averages for one channel, as the backbone's do.
        """
        require("PIL", extra="cli")
        from keras_convnext.preprocessing import augmentation

        mean, std = mean_and_std(channels, mean, std)
        return augmentation.RandomErasing(self.erasing_rate, mean=mean, std=std)

    def mixing(self, label_smoothing=0.1):
        """The step that mixes the images of a batch, and smooths their labels before."""
        require("PIL", extra="cli")
        from keras_convnext.preprocessing import augmentation

        return augmentation.MixUpOrCutMix(self.mixup, self.cutmix, label_smoothing=label_smoothing)
