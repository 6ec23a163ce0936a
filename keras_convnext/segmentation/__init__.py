"""Semantic segmentation: UPerNet on our backbone, its loss and inference, mean IoU, and pictures of label maps."""

from keras_convnext.drawing import draw_grid
from keras_convnext.segmentation.draw import draw_label_map
from keras_convnext.segmentation.scores import MeanIoU, segmentation_scores
from keras_convnext.segmentation.scores_callback import SegmentationScores

__all__ = ["MeanIoU", "SegmentationScores", "draw_grid", "draw_label_map", "segmentation_scores"]
