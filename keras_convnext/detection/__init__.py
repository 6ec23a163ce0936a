"""Detection: detectors on our backbone, decoding of their predictions, COCO's scores, and pictures of boxes."""

from keras_convnext.detection.scores import coco_scores, unpad
from keras_convnext.detection.scores_callback import COCOScores

__all__ = ["COCOScores", "coco_scores", "unpad"]
