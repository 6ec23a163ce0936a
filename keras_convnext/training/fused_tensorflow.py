"""A step of Adam by TensorFlow's fused kernel: each weight, gradient and moment is read once.

Imported where the backend is TensorFlow.
"""

import tensorflow as tf


def fused_adam_step(gradient, weight, momentum, velocity, corrections, learning_rate, betas, epsilon):
    """Updates a weight and its moments in place, by torch's formula.

    The kernel adds epsilon before the bias correction, so it is handed one that the correction is taken from.

    Args:
        gradient: tensor.
        weight, momentum, velocity: `tf.Variable`, alike in shape.
        corrections: pair of tensors, `1 - beta ** step`.
        learning_rate: tensor.
        betas: pair of float.
        epsilon: float.
    """
    dtype = weight.dtype
    momentum_scale, velocity_scale = corrections
    root = tf.sqrt(velocity_scale)
    tf.raw_ops.ResourceApplyAdam(
        var=weight.handle,
        m=momentum.handle,
        v=velocity.handle,
        beta1_power=tf.zeros((), dtype),  # the kernel's own corrections, which cancel digits, left out
        beta2_power=tf.zeros((), dtype),
        lr=learning_rate * root / momentum_scale,
        beta1=tf.constant(betas[0], dtype),
        beta2=tf.constant(betas[1], dtype),
        epsilon=epsilon * root,
        grad=tf.convert_to_tensor(gradient),
    )
