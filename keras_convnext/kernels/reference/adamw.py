"""The update of AdamW."""

import math
from collections.abc import Sequence

import keras
from keras import ops

from keras_convnext.typing import Tensor


def adamw_step(
    gradients: Sequence[Tensor],
    weights: Sequence[keras.Variable],
    momentums: Sequence[keras.Variable],
    velocities: Sequence[keras.Variable],
    *,
    iterations: Tensor,
    learning_rate: Tensor | float,
    weight_decay: float,
    betas: tuple[float, float],
    epsilon: float,
) -> None:
    """One step of AdamW in place, by torch's formula, which adds epsilon after the bias correction.

    Args:
        gradients: gradients of the weights.
        weights: variables shaped like the gradients.
        momentums: variables shaped like the gradients.
        velocities: variables shaped like the gradients.
        iterations: the number of steps before this one.
        learning_rate: the learning rate of this step.
        weight_decay: the weight decay of all these weights.
        betas: the decay rates of the momentums and of the velocities.
        epsilon: keeps the division finite.

    Example:

    >>> import keras
    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> weight, momentum, velocity = (keras.Variable([value]) for value in (1.0, 0.0, 0.0))
    >>> kernels.adamw_step(
    ...     [ops.array([2.0])],
    ...     [weight],
    ...     [momentum],
    ...     [velocity],
    ...     iterations=ops.array(0),
    ...     learning_rate=0.1,
    ...     weight_decay=0.0,
    ...     betas=(0.9, 0.999),
    ...     epsilon=1e-8,
    ... )
    >>> print(ops.convert_to_numpy(weight).round(3))
    [0.9]
    """
    corrections = bias_corrections(iterations, betas)
    for gradient, weight, momentum, velocity in zip(gradients, weights, momentums, velocities, strict=True):
        gradient, rate = ops.cast(gradient, weight.dtype), ops.cast(learning_rate, weight.dtype)
        first, second = (ops.cast(correction, weight.dtype) for correction in corrections)
        value = ops.convert_to_tensor(weight)
        if weight_decay:
            value = value - value * weight_decay * rate
        momentum.assign(momentum + (gradient - momentum) * (1 - betas[0]))
        velocity.assign(velocity + (ops.square(gradient) - velocity) * (1 - betas[1]))
        denominator = ops.sqrt(velocity / second) + epsilon
        weight.assign(value - rate * (momentum / first) / denominator)


def bias_corrections(iterations: Tensor, betas: tuple[float, float]) -> list[Tensor]:
    """`1 - beta ** step` for each beta, without the cancellation that this formula has in float32."""
    step = ops.cast(iterations + 1, "float32")
    return [-ops.expm1(step * (math.log(beta) if beta else -math.inf)) for beta in betas]


def adamw_is_multi_tensor() -> bool:
    """Whether one `adamw_step` for many weights is faster than one per weight.

    Example:

    >>> from keras_convnext import kernels
    >>> isinstance(kernels.adamw_is_multi_tensor(), bool)
    True
    """
    return False
