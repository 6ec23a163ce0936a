"""Preparing images for a model: the transforms of published evaluations, and augmentation for training."""

from keras_convnext.preprocessing.augmentation import Augmentation
from keras_convnext.preprocessing.preset import preprocessor
from keras_convnext.preprocessing.resize import ResizeAndCrop
from keras_convnext.preprocessing.resize_layer import ResizeAndCropLayer

__all__ = ["Augmentation", "ResizeAndCrop", "ResizeAndCropLayer", "preprocessor"]
