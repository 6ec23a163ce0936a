"""Augmentation: an ordered list of steps on PIL images, arrays and batches (arXiv:2201.03545, Table 5).

`Augmentation` is the list, and `step.py` says what a step is. A new step is one file with one class, and a line below.
Augmentation is deterministic given (seed, epoch, index): each step draws from a generator that depends on nothing else.
The result is the same with any number of processes, and a resumed training continues it.

`augment_sample` augments an image with its boxes, label map and keypoints: a step that moves pixels gives a
transformation (`geometry`), and `annotations` moves the annotations by it.

`AugmentationLayer` (in `layer`, which imports keras-cv and TensorFlow) is a keras-cv layer of a step, for tf.data.
"""

from keras_convnext.preprocessing.augmentation.augmentation import Augmentation
from keras_convnext.preprocessing.augmentation.geometry import Affine, CropAndResize, FlipLeftRight, Transformation
from keras_convnext.preprocessing.augmentation.image_format import ImageFormat
from keras_convnext.preprocessing.augmentation.mix import MixUpOrCutMix
from keras_convnext.preprocessing.augmentation.pipeline import augment_batch, augment_image, to_pil
from keras_convnext.preprocessing.augmentation.rand_augment import RandAugment
from keras_convnext.preprocessing.augmentation.random_erasing import RandomErasing
from keras_convnext.preprocessing.augmentation.random_flip import RandomFlip
from keras_convnext.preprocessing.augmentation.random_resized_crop import RandomResizedCrop
from keras_convnext.preprocessing.augmentation.sample import augment_sample
from keras_convnext.preprocessing.augmentation.step import ArrayStep, BatchStep, GeometricStep, ImageStep, Step

__all__ = [
    "Affine",
    "ArrayStep",
    "Augmentation",
    "BatchStep",
    "CropAndResize",
    "FlipLeftRight",
    "GeometricStep",
    "ImageFormat",
    "ImageStep",
    "MixUpOrCutMix",
    "RandAugment",
    "RandomErasing",
    "RandomFlip",
    "RandomResizedCrop",
    "Step",
    "Transformation",
    "augment_batch",
    "augment_image",
    "augment_sample",
    "to_pil",
]
