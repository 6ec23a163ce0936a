"""The steps of the paper's augmentation, on Pillow images and NumPy arrays (arXiv:2201.03545, Table 5).

Each step draws from a generator of its own that follows from three whole numbers: the training's seed, the epoch and
the image's place in the data. So one seed gives one sequence, however many processes work on it, and a resumed training
goes on alike. Images are uint8 up to `RandAugment`, and 0..255 throughout.

`AugmentationLayer` (in `layer`, which imports keras-cv and TensorFlow) makes a keras-cv layer of a step, for tf.data.
"""

from keras_convnext.preprocessing.augmentation.mix import MixUpOrCutMix
from keras_convnext.preprocessing.augmentation.rand_augment import RandAugment
from keras_convnext.preprocessing.augmentation.random_erasing import RandomErasing
from keras_convnext.preprocessing.augmentation.random_flip import RandomFlip
from keras_convnext.preprocessing.augmentation.random_resized_crop import RandomResizedCrop
from keras_convnext.preprocessing.augmentation.step import augment_picture, picture_of

__all__ = [
    "MixUpOrCutMix",
    "RandAugment",
    "RandomErasing",
    "RandomFlip",
    "RandomResizedCrop",
    "augment_picture",
    "picture_of",
]
