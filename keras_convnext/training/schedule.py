"""The learning rate: linear warmup, then a half cosine (arXiv:2201.03545, Table 5)."""

import math

import keras
from keras import ops

from keras_convnext.scalars import integer, number
from keras_convnext.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly from 0 to `peak`, then falls along a half cosine to `minimum`, exactly as in the authors' code.

        warmup, steps 0..W-1:      peak * step / (W - 1)
        cosine, steps W..total-1:  minimum + (peak - minimum) / 2 * (1 + cos(pi * (step - W) / (total - W)))

    Both the last step of the warmup and the first one of the cosine have the peak. After the last step the rate is
    `minimum`.

    Args:
        peak: the highest rate.
        total_steps: number of steps of the whole training.
        warmup_steps: W, the number of steps of the warmup, 0 for none. Defaults to 0.
        minimum: the rate at the end. Defaults to 1e-6.

    Raises:
        ValueError: `warmup_steps` is negative or more than `total_steps`.

    Example:

    >>> from keras_convnext.training import WarmupCosine
    >>> schedule = WarmupCosine(peak=1.0, total_steps=12, warmup_steps=3, minimum=0.0)
    >>> [round(float(schedule(step)), 2) for step in (0, 1, 2, 3, 12)]
    [0.0, 0.5, 1.0, 1.0, 0.0]
    """

    def __init__(self, peak: float, total_steps: int, warmup_steps: int = 0, minimum: float = 1e-6):
        super().__init__()
        self.peak = number("peak", peak, 0)
        self.total_steps = integer("total_steps", total_steps)
        self.warmup_steps = integer("warmup_steps", warmup_steps)
        self.minimum = number("minimum", minimum, 0)
        if not 0 <= self.warmup_steps <= self.total_steps:
            raise ValueError(
                "`warmup_steps` must be from 0 to `total_steps`. "
                f"Received: warmup_steps={warmup_steps}, total_steps={total_steps}"
            )

    def __call__(self, step: Tensor | int) -> Tensor:
        step = ops.cast(step, "float32")
        warmup = self.peak * step / max(1.0, self.warmup_steps - 1.0)
        progress = (step - self.warmup_steps) / max(1.0, self.total_steps - self.warmup_steps)
        cosine = ops.cos(math.pi * ops.clip(progress, 0.0, 1.0))
        decayed = self.minimum + (self.peak - self.minimum) * 0.5 * (1.0 + cosine)
        rate = ops.where(step < self.warmup_steps, warmup, decayed)
        return ops.where(step < self.total_steps, rate, self.minimum)

    def get_config(self) -> dict:
        return {
            "peak": self.peak,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "minimum": self.minimum,
        }
