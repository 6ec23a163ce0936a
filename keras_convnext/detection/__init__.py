"""Detection: detectors on our backbone, decoding of their predictions, COCO's scores, and pictures of boxes."""

from keras_convnext.detection.draw import draw_boxes
from keras_convnext.detection.scores import coco_scores, unpad
from keras_convnext.detection.scores_callback import COCOScores
from keras_convnext.drawing import draw_grid

__all__ = ["COCOScores", "coco_scores", "draw_boxes", "draw_grid", "unpad"]
