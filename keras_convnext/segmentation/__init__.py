"""Semantic segmentation: the paper's model UPerNet, its loss, predictions for images of any size, and mean IoU.

`UPerNet` builds on a `ConvNeXtBackbone` with `level_norm=True`. The other files hold its parts, one concept each.
"""

from keras_convnext.checkpoints.ade20k import ade20k_classes
from keras_convnext.drawing import draw_grid
from keras_convnext.segmentation.draw import draw_label_map
from keras_convnext.segmentation.loss import SegmentationLoss
from keras_convnext.segmentation.predict import predict
from keras_convnext.segmentation.scores import MeanIoU, segmentation_scores
from keras_convnext.segmentation.scores_callback import SegmentationScores
from keras_convnext.segmentation.upernet import UPerNet

__all__ = [
    "MeanIoU",
    "SegmentationLoss",
    "SegmentationScores",
    "UPerNet",
    "ade20k_classes",
    "draw_grid",
    "draw_label_map",
    "predict",
    "segmentation_scores",
]
