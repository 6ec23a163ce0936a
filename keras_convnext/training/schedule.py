"""The learning rate of each update: linear warmup, then a half cosine, steps or a polynomial.

The cosine is for classification (arXiv:2201.03545, Table 5). Steps are for detection and the polynomial for
segmentation (A.3), by the formulas of mmcv's `StepLrUpdaterHook` and `PolyLrUpdaterHook`.
"""

import math
from collections.abc import Sequence

import keras
from keras import ops

from keras_convnext.scalars import between, integer, number, numbers
from keras_convnext.typing import Tensor

SCHEDULES = ("cosine", "step", "polynomial")
"""The names of the schedules in `Recipe.schedule`: `WarmupCosine`, `WarmupStep` and `WarmupPolynomial`."""


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
        _check_warmup(self.warmup_steps, self.total_steps)

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


@keras.saving.register_keras_serializable(package="keras_convnext")
class WarmupStep(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly to `peak`, and is multiplied by `factor` at some points of the training.

        rate = peak * factor ** (number of points passed) * warmup
        warmup, steps 0..W-1:  warmup_start + (1 - warmup_start) * step / W

    Args:
        peak: the highest rate.
        total_steps: number of steps of the whole training.
        warmup_steps: W, the number of steps of the warmup, 0 for none. Defaults to 0.
        points: the points as shares of `total_steps`, in (0, 1). Each is rounded to a step, the first with the new
            rate.
        factor: factor at each point, in [0, 1]. Defaults to 0.1.
        warmup_start: rate at step 0 divided by `peak`, in [0, 1]. Defaults to 0.001, as in mmdetection's schedules.

    Raises:
        ValueError: a value is out of range.

    Example:

    >>> from keras_convnext.training import WarmupStep
    >>> schedule = WarmupStep(peak=1.0, total_steps=36, points=(27 / 36, 33 / 36))
    >>> [round(float(schedule(step)), 3) for step in (0, 26, 27, 32, 33)]
    [1.0, 1.0, 0.1, 0.1, 0.01]
    """

    def __init__(
        self,
        peak: float,
        total_steps: int,
        warmup_steps: int = 0,
        points: Sequence[float] = (),
        factor: float = 0.1,
        warmup_start: float = 1e-3,
    ):
        super().__init__()
        self.peak = number("peak", peak, 0)
        self.total_steps = integer("total_steps", total_steps)
        self.warmup_steps = integer("warmup_steps", warmup_steps)
        self.points = tuple(between("points", point, 0, 1) for point in numbers("points", points))
        self.factor = between("factor", factor, 0, 1)
        self.warmup_start = between("warmup_start", warmup_start, 0, 1)
        _check_warmup(self.warmup_steps, self.total_steps)

    def __call__(self, step: Tensor | int) -> Tensor:
        step = ops.cast(step, "float32")
        rate = self.peak * _linear_warmup(step, self.warmup_steps, self.warmup_start)
        for point in self.points:
            rate = ops.where(step < round(point * self.total_steps), rate, rate * self.factor)
        return rate

    def get_config(self) -> dict:
        return {
            "peak": self.peak,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "points": list(self.points),
            "factor": self.factor,
            "warmup_start": self.warmup_start,
        }


@keras.saving.register_keras_serializable(package="keras_convnext")
class WarmupPolynomial(keras.optimizers.schedules.LearningRateSchedule):
    """Falls from `peak` to `minimum` along a polynomial over the whole training, multiplied by a linear warmup.

        rate = (minimum + (peak - minimum) * (1 - step / total) ** power) * warmup
        warmup, steps 0..W-1:  warmup_start + (1 - warmup_start) * step / W

    The polynomial falls during the warmup too, so that the rate never quite reaches `peak`. After the last step the
    rate is `minimum`.

    Args:
        peak: the rate from which the polynomial falls.
        total_steps: number of steps of the whole training.
        warmup_steps: W, the number of steps of the warmup, 0 for none. Defaults to 0.
        minimum: the rate at the end. Defaults to 0.
        power: exponent of the polynomial. Defaults to 1, a straight line.
        warmup_start: factor of the rate at step 0, in [0, 1]. Defaults to 1e-6.

    Raises:
        ValueError: a value is out of range.

    Example:

    >>> from keras_convnext.training import WarmupPolynomial
    >>> schedule = WarmupPolynomial(peak=1.0, total_steps=10, warmup_steps=2)
    >>> [round(float(schedule(step)), 2) for step in (0, 1, 2, 5, 10)]
    [0.0, 0.45, 0.8, 0.5, 0.0]
    """

    def __init__(
        self,
        peak: float,
        total_steps: int,
        warmup_steps: int = 0,
        minimum: float = 0.0,
        power: float = 1.0,
        warmup_start: float = 1e-6,
    ):
        super().__init__()
        self.peak = number("peak", peak, 0)
        self.total_steps = integer("total_steps", total_steps)
        self.warmup_steps = integer("warmup_steps", warmup_steps)
        self.minimum = number("minimum", minimum, 0)
        self.power = number("power", power, 0)
        self.warmup_start = between("warmup_start", warmup_start, 0, 1)
        _check_warmup(self.warmup_steps, self.total_steps)

    def __call__(self, step: Tensor | int) -> Tensor:
        step = ops.cast(step, "float32")
        remaining = ops.clip(1.0 - step / max(1.0, self.total_steps), 0.0, 1.0)
        decayed = self.minimum + (self.peak - self.minimum) * ops.power(remaining, self.power)
        return decayed * _linear_warmup(step, self.warmup_steps, self.warmup_start)

    def get_config(self) -> dict:
        return {
            "peak": self.peak,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "minimum": self.minimum,
            "power": self.power,
            "warmup_start": self.warmup_start,
        }


def _linear_warmup(step, warmup_steps, start):
    """The factor of the rate: from `start` at step 0 to 1 at step `warmup_steps`, and 1 from there on."""
    return ops.clip(start + (1.0 - start) * step / max(1.0, warmup_steps), 0.0, 1.0) if warmup_steps else 1.0


def _check_warmup(warmup_steps, total_steps):
    if not 0 <= warmup_steps <= total_steps:
        raise ValueError(
            "`warmup_steps` must be from 0 to `total_steps`. "
            f"Received: warmup_steps={warmup_steps}, total_steps={total_steps}"
        )
