"""Semantic segmentation: the paper's model UPerNet, its loss, and predictions for images of any size.

`UPerNet` builds on a `ConvNeXtBackbone` with `level_norm=True`. The other files hold its parts, one concept each.
"""

from keras_convnext.checkpoints.ade20k import ade20k_classes
from keras_convnext.segmentation.loss import SegmentationLoss
from keras_convnext.segmentation.predict import predict
from keras_convnext.segmentation.upernet import UPerNet

__all__ = ["SegmentationLoss", "UPerNet", "ade20k_classes", "predict"]
