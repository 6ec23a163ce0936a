"""The functions with which layers and the optimizer compute: one set per backend, with the same names and signatures.

`reference/` implements every function in `keras.ops`, and documents what it computes. `jax/`, `tensorflow/` and
`torch/` have the functions that are faster on that backend, and import the others from the reference. This file chooses
the set, so that no layer, model or optimizer asks which backend or device runs. A backend without a set, such as
OpenVINO, runs on the reference.

The kernels take tensors. Two also take objects of Keras: `is_observed` looks at layers, and `adamw_step` updates
variables.

Example:

>>> import keras
>>> import numpy as np
>>> from keras_convnext import kernels
>>> x, gamma, beta = (keras.ops.convert_to_tensor(np.float32(values)) for values in ([[1, 3]], [1, 1], [0, 0]))
>>> print(keras.ops.convert_to_numpy(kernels.layer_norm(x, gamma, beta, epsilon=1e-6)).round(3))
[[-1.  1.]]
"""

from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING:
    from keras_convnext.kernels import reference as chosen
elif keras.backend.backend() == "jax":
    from keras_convnext.kernels import jax as chosen
elif keras.backend.backend() == "tensorflow":
    from keras_convnext.kernels import tensorflow as chosen
elif keras.backend.backend() == "torch":
    from keras_convnext.kernels import torch as chosen
else:
    from keras_convnext.kernels import reference as chosen

from keras_convnext.kernels.reference import BlockSettings, BlockWeights
from keras_convnext.kernels.shared.exporting import exporting, serializing

adamw_is_multi_tensor = chosen.adamw_is_multi_tensor
adamw_step = chosen.adamw_step
avoids_jit = chosen.avoids_jit
block = chosen.block
comparable_size = chosen.comparable_size
depthwise_conv = chosen.depthwise_conv
gelu = chosen.gelu
global_mean = chosen.global_mean
grn = chosen.grn
is_observed = chosen.is_observed
layer_norm = chosen.layer_norm
layer_scale = chosen.layer_scale
linear = chosen.linear
on_summed_gradients = chosen.on_summed_gradients
patch_embed = chosen.patch_embed
remat = chosen.remat
rms_norm = chosen.rms_norm
as_runtime_errors = chosen.as_runtime_errors
simple_norm = chosen.simple_norm

__all__ = [
    "BlockSettings",
    "BlockWeights",
    "adamw_is_multi_tensor",
    "adamw_step",
    "as_runtime_errors",
    "avoids_jit",
    "block",
    "comparable_size",
    "depthwise_conv",
    "exporting",
    "gelu",
    "global_mean",
    "grn",
    "is_observed",
    "layer_norm",
    "layer_scale",
    "linear",
    "on_summed_gradients",
    "patch_embed",
    "remat",
    "rms_norm",
    "serializing",
    "simple_norm",
]
