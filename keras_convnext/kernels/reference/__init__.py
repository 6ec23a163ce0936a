"""Every kernel in `keras.ops`. It defines what a function computes, and runs where a backend has nothing faster."""

from keras_convnext.kernels.reference.adamw import adamw_is_multi_tensor, adamw_step, bias_corrections
from keras_convnext.kernels.reference.backend import as_runtime_errors, avoids_jit, comparable_size, is_observed
from keras_convnext.kernels.reference.block import (
    BlockSettings,
    BlockWeights,
    add_branch,
    block,
    composed_block,
    mlp,
    present,
    restored,
)
from keras_convnext.kernels.reference.functions import depthwise_conv, gelu, global_mean, layer_scale, linear, patches
from keras_convnext.kernels.reference.norms import grn, layer_norm, rms_norm, simple_norm
from keras_convnext.kernels.reference.patch_embed import composed_patch_embed, patch_embed
from keras_convnext.kernels.reference.remat import remat
from keras_convnext.kernels.reference.replicas import on_summed_gradients
