"""Timing our models against those of other packages, and our augmentation against timm's.

A `Case` is one model of one package, on one backend, at one task. `time_in_turn` times several cases, each in its own
process, and `compare` sets ours against the others. `benchmarking.packages` lists what can be timed.
"""

from keras_convnext.benchmarking.case import Case
from keras_convnext.benchmarking.compare import compare
from keras_convnext.benchmarking.turns import Timing, ratios, time_in_turn

__all__ = ["Case", "Timing", "compare", "ratios", "time_in_turn"]
