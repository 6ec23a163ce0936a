"""The kernels on TensorFlow. Its graph optimizer fuses those for inference, and XLA compiles those for training."""

from keras_convnext.kernels.reference import (
    adamw_is_multi_tensor,
    comparable_size,
    composed_block,
    composed_patch_embed,
    global_mean,
    grn,
    is_observed,
    layer_scale,
    rms_norm,
    simple_norm,
)
from keras_convnext.kernels.tensorflow.adamw import adamw_step
from keras_convnext.kernels.tensorflow.device import avoids_jit
from keras_convnext.kernels.tensorflow.errors import as_runtime_errors
from keras_convnext.kernels.tensorflow.functions import depthwise_conv, gelu, layer_norm, linear
from keras_convnext.kernels.tensorflow.remat import remat
from keras_convnext.kernels.tensorflow.replicas import on_summed_gradients

block = composed_block(depthwise_conv, linear, remat)
patch_embed = composed_patch_embed(linear)
