"""Detection: detectors of keras-cv and keras-hub on a ConvNeXt backbone, their predictions, scores and pictures.

The detectors, their losses and their anchors are the libraries' own. This room assembles them, and decodes what they
predict on every backend.
"""

from keras_convnext.detection.assembly import DETECTORS, retinanet, yolov8
from keras_convnext.detection.decoding import PredictionDecoder, decode
from keras_convnext.detection.draw import draw_boxes
from keras_convnext.detection.predict import predict
from keras_convnext.detection.scores import coco_scores, unpad
from keras_convnext.detection.scores_callback import COCOScores
from keras_convnext.detection.suppression import non_max_suppression
from keras_convnext.drawing import draw_grid

__all__ = [
    "DETECTORS",
    "COCOScores",
    "PredictionDecoder",
    "coco_scores",
    "decode",
    "draw_boxes",
    "draw_grid",
    "non_max_suppression",
    "predict",
    "retinanet",
    "unpad",
    "yolov8",
]
