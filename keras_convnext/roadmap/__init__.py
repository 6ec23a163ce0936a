"""The path from ResNet to ConvNeXt in seventeen measured steps, each a Keras model (arXiv:2201.03545, section 2).

`STEPS` has the steps as data, `describe` the network of a step, `build` its model. Beside them stand `roadmap.costs`
(what each step costs) and `roadmap.figure` (the paper's Figure 2), `roadmap.blocks` and `roadmap.blocks_figure` (its
Figure 4), and `roadmap.miniature` (training every step on small images).
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
