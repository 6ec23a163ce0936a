"""The kernels on torch: its own functions, and for inference on the CPU a block in slices that stay in the cache."""

from keras_convnext.kernels.reference import (
    as_runtime_errors,
    avoids_jit,
    gelu,
    global_mean,
    layer_scale,
    on_summed_gradients,
    rms_norm,
    simple_norm,
)
from keras_convnext.kernels.torch.adamw import adamw_is_multi_tensor, adamw_step
from keras_convnext.kernels.torch.block import block, patch_embed
from keras_convnext.kernels.torch.depthwise_conv import depthwise_conv
from keras_convnext.kernels.torch.functions import grn, layer_norm, linear
from keras_convnext.kernels.torch.observers import is_observed
from keras_convnext.kernels.torch.remat import remat
from keras_convnext.kernels.torch.sizes import comparable_size
