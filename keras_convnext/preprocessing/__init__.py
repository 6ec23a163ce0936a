"""What happens to images before the model sees them."""

from keras_convnext.preprocessing.resize import ResizeAndCrop

__all__ = ["ResizeAndCrop"]
