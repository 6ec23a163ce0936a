"""A step of AdamW by TensorFlow's fused kernel of Adam: each weight, gradient and moment is read once."""

import numpy as np
import tensorflow as tf

from keras_convnext.kernels.reference import bias_corrections


def adamw_step(gradients, weights, momentums, velocities, *, iterations, learning_rate, weight_decay, betas, epsilon):
    """See the reference.

    TensorFlow's kernel adds epsilon before the bias correction, so epsilon is multiplied by the correction here.
    """
    betas = [float(np.float32(beta)) for beta in betas]  # the kernel rounds them
    corrections = bias_corrections(iterations, betas)
    for gradient, weight, momentum, velocity in zip(gradients, weights, momentums, velocities, strict=True):
        dtype = weight.dtype
        first, second = (tf.cast(correction, dtype) for correction in corrections)
        root, rate = tf.sqrt(second), tf.cast(learning_rate, dtype)
        if weight_decay:
            weight.assign(weight - weight * weight_decay * rate)
        tf.raw_ops.ResourceApplyAdam(
            var=weight.handle,
            m=momentum.value.handle,
            v=velocity.value.handle,
            beta1_power=tf.zeros((), dtype),  # turns off the kernel's own corrections, which lose digits
            beta2_power=tf.zeros((), dtype),
            lr=rate * root / first,
            beta1=tf.constant(betas[0], dtype),
            beta2=tf.constant(betas[1], dtype),
            epsilon=epsilon * root,
            grad=tf.cast(gradient, dtype),
        )
