"""The kernels on JAX. The reference is used where XLA compiles it well."""

from keras_convnext.kernels.jax.block import block
from keras_convnext.kernels.jax.depthwise_conv import depthwise_conv
from keras_convnext.kernels.jax.functions import gelu, global_mean, layer_norm, linear
from keras_convnext.kernels.jax.remat import remat
from keras_convnext.kernels.jax.sizes import comparable_size
from keras_convnext.kernels.reference import (
    adamw_is_multi_tensor,
    adamw_step,
    as_runtime_errors,
    avoids_jit,
    composed_patch_embed,
    grn,
    is_observed,
    layer_scale,
    on_summed_gradients,
    rms_norm,
    simple_norm,
)

patch_embed = composed_patch_embed(linear)
