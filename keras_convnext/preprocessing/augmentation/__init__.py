"""The paper's augmentation as keras-cv layers for tf.data, whichever backend computes (arXiv:2201.03545, Table 5).

Each layer takes and returns a dict: `images`, `labels` (one-hot) and `seed`, three whole numbers: the training's seed,
the epoch and the image's place in the data. From these alone it draws, so that one seed gives one sequence, however
many workers map it, and a resumed training goes on alike. Images are uint8 up to `RandAugment`, and 0..255 throughout.

This room imports keras-cv and TensorFlow: it is imported where it is used.
"""

from keras_convnext.preprocessing.augmentation.mix import MixUpOrCutMix
from keras_convnext.preprocessing.augmentation.rand_augment import RandAugment
from keras_convnext.preprocessing.augmentation.random_erasing import RandomErasing
from keras_convnext.preprocessing.augmentation.random_flip import RandomFlip
from keras_convnext.preprocessing.augmentation.random_resized_crop import RandomResizedCrop
from keras_convnext.preprocessing.augmentation.seeded import PillowAugmentation, augment_pictures, picture_of

__all__ = [
    "MixUpOrCutMix",
    "PillowAugmentation",
    "RandAugment",
    "RandomErasing",
    "RandomFlip",
    "RandomResizedCrop",
    "augment_pictures",
    "picture_of",
]
