"""The layers of ConvNeXt, one concept per file. All take and return `(batch, height, width, channels)`."""

from keras_convnext.layers.block import ConvNeXtBlock
from keras_convnext.layers.depthwise_conv import DepthwiseConv2D
from keras_convnext.layers.downsample import Downsample
from keras_convnext.layers.grn import GlobalResponseNormalization
from keras_convnext.layers.layer_scale import LayerScale
from keras_convnext.layers.stem import Stem
from keras_convnext.layers.stochastic_depth import StochasticDepth

__all__ = [
    "ConvNeXtBlock",
    "DepthwiseConv2D",
    "Downsample",
    "GlobalResponseNormalization",
    "LayerScale",
    "Stem",
    "StochasticDepth",
]
