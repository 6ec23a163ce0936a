"""AdamW as the authors' code has it: torch's formula, and no decay of biases, norms and scales."""

import math
import re

import keras
import numpy as np
from keras import ops

_ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
_ON_TORCH = keras.backend.backend() == "torch"

WEIGHT_DECAY_RULES = (
    (r"kernel$", True),
    (r"(^|/)(bias|gamma|beta)$", False),
)
"""Which weights decay, by the end of their path (facebookresearch/ConvNeXt; for GRN's pair, ConvNeXt-V2)."""


@keras.saving.register_keras_serializable(package="keras_convnext")
class AdamW(keras.optimizers.AdamW):
    """Adam with decoupled weight decay (arXiv:1711.05101), by torch's formula.

    It differs from `keras.optimizers.AdamW` in two things. `epsilon` is added after the bias correction, and is 1e-8:
    gradients under a layer scale of 1e-6 are small enough for it to show. And which weights decay is told by rules on
    their paths, kept in the configuration, so that a loaded model decays the same weights.

    Args:
        learning_rate: float or schedule.
        weight_decay: float; multiplied by the current rate at each step. Defaults to 0.05.
        epsilon: float. Defaults to 1e-8.
        weight_decay_rules: sequence of `(regex, decays)`; each weight's path must match exactly one by `re.search`.
            Defaults to `WEIGHT_DECAY_RULES`: kernels decay; biases, norms, layer scales and GRN's weights do not.
        **kwargs: as `keras.optimizers.AdamW`; `amsgrad` is refused.

    Raises:
        ValueError: at `build`, where weights match no rule or several; the message names them.

    Example:

    >>> optimizer = AdamW(learning_rate=1e-3)
    >>> optimizer.build(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).trainable_variables)
    """

    def __init__(
        self, learning_rate=0.001, weight_decay=0.05, epsilon=1e-8, weight_decay_rules=WEIGHT_DECAY_RULES, **kwargs
    ):
        super().__init__(learning_rate=learning_rate, weight_decay=weight_decay, epsilon=epsilon, **kwargs)
        if self.amsgrad:
            raise ValueError("`amsgrad` is not part of this optimizer: keras.optimizers.AdamW has it.")
        self.weight_decay_rules = tuple((regex, bool(decays)) for regex, decays in weight_decay_rules)

    def build(self, variables):
        if self.built:
            return
        variables = list(variables)
        self.exclude_from_weight_decay(var_list=[variable for variable in variables if not self._decays(variable)])
        super().build(variables)

    def _decays(self, variable):
        matches = [decays for regex, decays in self.weight_decay_rules if re.search(regex, variable.path)]
        if len(matches) != 1:
            raise ValueError(
                f"Each weight must match exactly one of `weight_decay_rules`. {variable.path!r} of shape "
                f"{tuple(variable.shape)} matches {len(matches)} of {[regex for regex, _ in self.weight_decay_rules]}."
            )
        return matches[0]

    def _apply_weight_decay(self, variables):
        if not (_ON_TORCH or _ON_TENSORFLOW):  # there it is part of the step
            super()._apply_weight_decay(variables)

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        if not _ON_TORCH:
            super()._backend_update_step(grads, trainable_variables, learning_rate)
            return
        from keras_convnext.training.fused_torch import fused_adamw_step

        for decays in (True, False):
            chosen = [
                (grad, variable.value, self._momentums[index].value, self._velocities[index].value)
                for grad, variable in zip(grads, trainable_variables, strict=True)
                if self._use_weight_decay(variable) is decays
                for index in [self._get_variable_index(variable)]
            ]
            if chosen:
                fused_adamw_step(
                    *map(list, zip(*chosen, strict=True)),
                    step=ops.convert_to_tensor(self.iterations),
                    learning_rate=learning_rate,
                    weight_decay=self.weight_decay if decays else 0.0,
                    betas=(self.beta_1, self.beta_2),
                    epsilon=self.epsilon,
                )

    def update_step(self, gradient, variable, learning_rate):
        learning_rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        betas = [float(np.float32(beta)) if _ON_TENSORFLOW else beta for beta in (self.beta_1, self.beta_2)]
        corrections = [ops.cast(self._bias_correction(beta), variable.dtype) for beta in betas]
        if _ON_TENSORFLOW:  # whose kernel rounds the betas
            from keras_convnext.training.fused_tensorflow import fused_adam_step

            if self._use_weight_decay(variable):
                variable.assign(variable * (1 - learning_rate * self.weight_decay))
            moments = momentum.value, velocity.value
            fused_adam_step(gradient, variable, *moments, corrections, learning_rate, betas, self.epsilon)
            return
        self.assign_add(momentum, (gradient - momentum) * (1 - self.beta_1))
        self.assign_add(velocity, (ops.square(gradient) - velocity) * (1 - self.beta_2))
        denominator = ops.sqrt(velocity / corrections[1]) + self.epsilon
        self.assign_sub(variable, learning_rate * (momentum / corrections[0]) / denominator)

    def _bias_correction(self, beta):
        """`1 - beta ** step`, without the cancellation that float32 has there."""
        step = ops.cast(self.iterations + 1, "float32")
        return -ops.expm1(step * (math.log(beta) if beta else -math.inf))

    def get_config(self):
        return {**super().get_config(), "weight_decay_rules": [list(rule) for rule in self.weight_decay_rules]}
