"""Mean IoU and accuracies: against scikit-learn's and mmsegmentation's definitions counted pixel by pixel, and by hand."""

import keras
import numpy as np
import pytest

from keras_convnext.segmentation import MeanIoU, SegmentationScores, segmentation_scores

NAMES = ["sky", "sea", "land", "road"]
