"""The weights of other packages' ConvNeXts, in and out."""

from keras_convnext.checkpoints.checkpoint import WRITTEN, check_target, load_checkpoint, save_checkpoint
from keras_convnext.checkpoints.files import read_arrays
from keras_convnext.checkpoints.identify import identify

__all__ = ["WRITTEN", "check_target", "identify", "load_checkpoint", "read_arrays", "save_checkpoint"]
