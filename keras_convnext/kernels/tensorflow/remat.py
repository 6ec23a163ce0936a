"""Recomputation on TensorFlow: on the CPU, a few images at a time."""

import keras
import tensorflow as tf

from keras_convnext.kernels.shared.microbatches import batch_parts
from keras_convnext.kernels.tensorflow.device import on_cpu
from keras_convnext.kernels.tensorflow.forward_mode import in_forward_mode


def remat(function):
    """See the reference.

    Args:
        function: as in the reference. It must not close over a variable.
    """
    if not on_cpu():
        return keras.remat(function)

    @tf.custom_gradient
    def recomputed(x, *weights):
        count = _parts(x)

        def gradients(grad_y):
            grad_x, sums = [], [tf.zeros((), _exact(weight.dtype)) for weight in weights]
            for part, grad_part in zip(tf.split(x, count), tf.split(grad_y, count), strict=True):
                # Without this order, TensorFlow would compute all parts at once, and the first one in the forward pass.
                with tf.control_dependencies([grad_part, *grad_x[-1:]]), tf.GradientTape() as tape:
                    arguments = [tf.identity(tensor) for tensor in (part, *weights)]
                    tape.watch(arguments)
                    y = function(*arguments)
                grad_images, *grad_weights = tape.gradient(y, arguments, grad_part)
                grad_x.append(grad_images)
                sums = [total + tf.cast(one, total.dtype) for total, one in zip(sums, grad_weights, strict=True)]
            grad_weights = [tf.cast(total, weight.dtype) for total, weight in zip(sums, weights, strict=True)]
            return tf.concat(grad_x, 0), *grad_weights

        y = []
        for part in tf.split(x, count):
            with tf.control_dependencies(y[-1:]):
                y.append(function(tf.identity(part), *weights))
        return tf.concat(y, 0), gradients

    def call(*arguments):
        """Recomputes except in forward mode, which does not need it, and in which the tape above does not work."""
        arguments = [tf.convert_to_tensor(argument) for argument in arguments]  # the values of variables
        return function(*arguments) if in_forward_mode(*arguments) else recomputed(*arguments)

    return call


def _exact(dtype):
    """The type in which parts are added up."""
    return dtype if dtype == tf.float64 else tf.float32


def _parts(x):
    """The number of parts of x: 1 if TensorFlow does not know the shape before it runs."""
    return batch_parts(x.shape[0], x.shape.num_elements() * x.dtype.size) if x.shape.is_fully_defined() else 1
