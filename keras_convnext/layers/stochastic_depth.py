"""Stochastic depth: drops a residual branch for some of the samples (arXiv:1603.09382)."""

from typing import Any

import keras
from keras import ops

from keras_convnext.scalars import integer, optional
from keras_convnext.scalars import rate as check_rate
from keras_convnext.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class StochasticDepth(keras.layers.Layer):
    """In training, zeroes whole samples with probability `rate` and scales the kept ones by `1 / (1 - rate)`.

    Each sample of the batch is dropped independently, by the layer's own seed generator. Outside training, and at
    rate 0, the output is the input.

    Args:
        rate: probability, in [0, 1), that a sample is dropped.
        seed: the seed of the layer's generator. Defaults to one sampled from Keras's global seed.
        **kwargs: as for `keras.layers.Layer`, such as `name` and `dtype`.

    Shapes: `(batch, ...)` in and out.

    Raises:
        ValueError: `rate` is not in [0, 1).

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from keras_convnext.layers import StochasticDepth
    >>> layer = StochasticDepth(rate=0.5, seed=0)
    >>> out = keras.ops.convert_to_numpy(layer(np.ones((8, 2, 2, 3)), training=True))
    >>> set(out.ravel().tolist()) <= {0.0, 2.0}
    True
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate = check_rate("rate", rate)
        self.seed = optional(integer, "seed", seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed) if self.rate else None
        self.built = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        keep = self.sample(inputs, training)
        return inputs if keep is None else inputs * keep

    def sample(self, inputs: Tensor, training: bool | None = None) -> Tensor | None:
        """Samples the factor of each sample in a batch: 0 or `1 / (1 - rate)`.

        Args:
            inputs: `(batch, ...)`.
            training: whether samples are dropped. Defaults to None, which means False.

        Returns:
            `(batch, 1, ...)`, with as many axes as the inputs; None if nothing is dropped.
        """
        if not training or not self.rate:
            return None
        shape = (ops.shape(inputs)[0],) + (1,) * (len(inputs.shape) - 1)
        kept = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator) >= self.rate
        return ops.cast(kept, inputs.dtype) / (1 - self.rate)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
