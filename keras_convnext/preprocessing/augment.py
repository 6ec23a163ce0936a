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

    def image_layers(self, height, width, mean=IMAGENET_MEAN, std=IMAGENET_STD):
        """The layers for one image after the other.

        Args:
            height, width: int, pixels of the results.
            mean, std: tuple of float, what the model normalizes with: erased pixels are standard normal after it.

        Raises:
            ModuleNotFoundError: keras-cv or TensorFlow is not installed.
        """
        require("keras_cv", extra="cv")
        from keras_convnext.preprocessing import augmentation

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
