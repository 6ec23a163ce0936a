"""The path from ResNet to ConvNeXt in seventeen measured steps, each a Keras model (arXiv:2201.03545, section 2).

`STEPS` has the steps as data, `describe` returns the description of a step's network, and `build` returns its model.
`roadmap.costs` counts what each step costs, `roadmap.figure` draws the paper's Figure 2, `roadmap.blocks` and
`roadmap.blocks_figure` draw its Figure 4, and `roadmap.miniature` trains every step on small images.
"""

from keras_convnext.roadmap.network import STRIDE, build, convnext_path, narrowed
from keras_convnext.roadmap.steps import PEERS, REGIMES, STEPS, Network, Published, Step, describe

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
