"""What happens to images before the model sees them."""

from keras_convnext.preprocessing.augmentation import Augmentation
from keras_convnext.preprocessing.preset import preprocessor
from keras_convnext.preprocessing.resize import ResizeAndCrop
from keras_convnext.preprocessing.resize_layer import ResizeAndCropLayer

__all__ = ["Augmentation", "ResizeAndCrop", "ResizeAndCropLayer", "preprocessor"]
