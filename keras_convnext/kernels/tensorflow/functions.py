"""The kernels on TensorFlow. Each call runs the function in `training.py`, `inference.py` or the reference."""

from keras_convnext.kernels import reference
from keras_convnext.kernels.shared.exporting import is_exporting
from keras_convnext.kernels.tensorflow import export, inference
from keras_convnext.kernels.tensorflow import training as for_training
from keras_convnext.kernels.tensorflow.device import on_cpu


def depthwise_conv(x, kernel, bias, *, dilation, training=False):
    """See the reference."""
    if training and dilation == 1 and _can_train(x):
        return for_training.depthwise_conv(x, kernel, bias)
    return inference.depthwise_conv(x, kernel, bias, dilation)


def layer_norm(x, gamma, beta, *, epsilon, training=False):
    """See the reference."""
    if is_exporting():
        return export.layer_norm(x, gamma, beta, epsilon)
    if training and _can_train(x):
        return for_training.layer_norm(x, gamma, beta, epsilon)
    if not training and on_cpu() and x.dtype in inference.LAYER_NORM_TYPES:
        return inference.layer_norm(x, gamma, beta, epsilon)
    return reference.layer_norm(x, gamma, beta, epsilon=epsilon)


def gelu(x, *, training=False):
    """See the reference."""
    if is_exporting():
        return export.gelu(x)
    return for_training.gelu(x) if training and _can_train(x) else reference.gelu(x)


def linear(x, kernel, bias, *, activation=None, training=False):
    """See the reference."""
    if is_exporting():
        return export.linear(x, kernel, bias, activation)
    if activation is gelu and training and _can_train(x):
        activation = for_training.gelu
    return inference.linear(x, kernel, bias, activation)


def _can_train(x):
    return on_cpu() and for_training.serves(x)
