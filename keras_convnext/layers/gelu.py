"""The Gaussian error linear unit (arXiv:1606.08415), exact."""

import keras

from keras_convnext import kernels

gelu = keras.saving.register_keras_serializable(package="keras_convnext")(kernels.gelu)
"""`x * Phi(x)`, with the normal distribution's cumulative function `Phi`: the backend's kernel.

Example:

>>> import keras
>>> import numpy as np
>>> from keras_convnext.layers.gelu import gelu
>>> print(keras.ops.convert_to_numpy(gelu(np.array([-1.0, 0.0, 1.0], "float32"))).round(4))
[-0.1587  0.      0.8413]
"""
