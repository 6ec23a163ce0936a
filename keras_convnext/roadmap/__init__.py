"""The path from ResNet to ConvNeXt, step by step: a network for each (arXiv:2201.03545, section 2)."""

from keras_convnext.models.roadmap.network import STRIDE, build, convnext_path, narrowed
from keras_convnext.models.roadmap.steps import PEERS, REGIMES, STEPS, Network, Published, Step, describe

__all__ = [
    "PEERS",
    "REGIMES",
    "STEPS",
    "STRIDE",
    "Network",
    "Published",
    "Step",
    "build",
    "convnext_path",
    "describe",
    "narrowed",
]
