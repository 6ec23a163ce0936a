"""Labelled images: the bundled digits, `.npz` files, folders and TensorFlow Datasets; and batches of them."""

from keras_convnext.data.augmented import AugmentedBatches, augmented_dataset
from keras_convnext.data.batches import Batches, EpochOrder
from keras_convnext.data.digits import load_digits
from keras_convnext.data.folder import load_folder
from keras_convnext.data.image_files import find_images
from keras_convnext.data.images import ImageData, Images, read_image
from keras_convnext.data.load import load_data
from keras_convnext.data.npz import load_npz
from keras_convnext.data.split import split_validation, with_validation
from keras_convnext.data.tfds import load_tfds

__all__ = [
    "AugmentedBatches",
    "Batches",
    "EpochOrder",
    "ImageData",
    "Images",
    "augmented_dataset",
    "find_images",
    "load_data",
    "load_digits",
    "load_folder",
    "load_npz",
    "load_tfds",
    "read_image",
    "split_validation",
    "with_validation",
]
