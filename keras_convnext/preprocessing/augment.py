"""How training images are augmented, as data; and the layers that do it."""

from dataclasses import dataclass

from keras_convnext.checkpoints import IMAGENET_MEAN, IMAGENET_STD
from keras_convnext.extras import require


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
        label_smoothing: in [0, 1), within the mixed labels.

    Raises:
        ValueError: a number out of its range.

    Example:

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
    label_smoothing: float = 0.1

    def __post_init__(self):
        for name in ("flip_rate", "erasing_rate"):
            self._check(name, 0 <= getattr(self, name) <= 1, "from 0 to 1")
        for name in ("scale", "ratio"):
            least, greatest = getattr(self, name)
            self._check(name, 0 < least <= greatest, "two positive numbers, the greater last")
        self._check("scale", self.scale[1] <= 1, "at most 1")
        self._check("rand_augment", 0 <= self.rand_augment <= 10, "from 0 to 10")
        for name in ("mixup", "cutmix"):
            self._check(name, getattr(self, name) == 0 or getattr(self, name) >= 0.1, "0, or 0.1 and more")
        self._check("label_smoothing", 0 <= self.label_smoothing < 1, "at least 0 and below 1")

    def _check(self, name, is_right, expected):
        if not is_right:
            raise ValueError(f"`{name}` must be {expected}. Received: {name}={getattr(self, name)}")

    def image_layers(self, height, width, channels=3, mean=None, std=None):
        """The layers for one image after the other.

        Args:
            height, width: int, pixels of the results.
            channels: int, of the images, 3 or 1. Defaults to 3.
            mean, std: tuple of float, what the model normalizes with: erased pixels are standard normal after it.
                Default to ImageNet's, and to their averages for one channel, as the backbone's do.

        Raises:
            ModuleNotFoundError: keras-cv or TensorFlow is not installed.
        """
        require("keras_cv", extra="cv")
        from keras_convnext.preprocessing import augmentation

        mean, std = (
            given or (imagenet if channels == 3 else (sum(imagenet) / 3,))
            for given, imagenet in ((mean, IMAGENET_MEAN), (std, IMAGENET_STD))
        )
        layers = [augmentation.RandomResizedCrop(height, width, self.scale, self.ratio)]
        if self.flip_rate:
            layers.append(augmentation.RandomFlip(self.flip_rate))
        if self.rand_augment:
            fill = tuple(round(255 * number) for number in (mean if len(mean) == 3 else mean * 3))
            layers.append(augmentation.RandAugment(self.rand_augment, fill=fill))
        if self.erasing_rate:
            layers.append(augmentation.RandomErasing(self.erasing_rate, mean=mean, std=std))
        return layers

    def batch_layer(self):
        """The layer that mixes the images of a batch, and smooths their labels."""
        require("keras_cv", extra="cv")
        from keras_convnext.preprocessing import augmentation

        return augmentation.MixUpOrCutMix(self.mixup, self.cutmix, label_smoothing=self.label_smoothing)
