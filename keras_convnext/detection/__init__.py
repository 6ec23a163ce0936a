"""Detectors of keras-cv and keras-hub on a ConvNeXt backbone, and the decoding of their predictions.

The detectors, their losses and their anchors are the libraries' own. This room assembles them, and decodes what they
predict on every backend.
"""

from keras_convnext.detection.assembly import DETECTORS, retinanet, yolov8
from keras_convnext.detection.decoding import PredictionDecoder, decode
from keras_convnext.detection.suppression import non_max_suppression

__all__ = ["DETECTORS", "PredictionDecoder", "decode", "non_max_suppression", "retinanet", "yolov8"]
