"""The exact Gaussian error linear unit (arXiv:1606.08415), `x * Phi(x)`, as `.keras` files hold it.

Example:

>>> import keras
>>> import numpy as np
>>> from keras_convnext.layers.gelu import gelu
>>> print(keras.ops.convert_to_numpy(gelu(np.array([-1.0, 0.0, 1.0], "float32"))).round(4))
[-0.1587  0.      0.8413]
"""

import keras

from keras_convnext import kernels

gelu = keras.saving.register_keras_serializable(package="keras_convnext")(kernels.gelu)
"""The backend's kernel. Other kernels recognize by it the activation that they can fuse."""
