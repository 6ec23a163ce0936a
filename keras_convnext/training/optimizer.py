"""AdamW as in the authors' code: torch's formula, and no weight decay of biases, norms and scales."""

from collections.abc import Sequence
from numbers import Real
from typing import Any

import keras
from keras import ops

from keras_convnext import kernels
from keras_convnext.scalars import flag, number, optional, plain
from keras_convnext.training.parameter_groups import EQUAL_RATES, FROM_THE_START, WEIGHT_DECAY_RULES, match_rules
from keras_convnext.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class AdamW(keras.optimizers.AdamW):
    """Adam with decoupled weight decay (arXiv:1711.05101), by torch's formula.

    It differs from `keras.optimizers.AdamW` as follows:

    - `epsilon` is added after the bias correction, and is 1e-8. Gradients under a layer scale of 1e-6 are small enough
      for this to matter.
    - Rules on weight paths decide which weights decay and how fast each learns. They are part of the configuration, so
      a loaded model continues with them. A weight's learning rate factor scales both its step and its decay.
    - With accumulated gradients, schedule, decay and moving average count updates, not batches.
    - The moving average (`use_ema`) starts with the weights at `build`, as timm's does.

    Args:
        learning_rate: the learning rate, or its schedule.
        weight_decay: weight decay, which is multiplied by the current learning rate at each step. Defaults to 0.05.
        epsilon: added after the bias correction. Defaults to 1e-8.
        weight_decay_rules: pairs `(regex, decays)`; each weight's path must match exactly one by `re.search`. Defaults
            to `WEIGHT_DECAY_RULES`: kernels decay; biases, norms, layer scales and GRN's weights do not.
        learning_rate_rules: pairs `(regex, factor)`, which match in the same way. The learning rate of a weight is
            multiplied by its factor; see `layer_decay_rules`. Defaults to 1 for all weights.
        unfreeze_rules: pairs `(regex, update)`, which match in the same way. A weight learns from its update on;
            before that, only its moments are updated. Defaults to 0 for all weights.
        ema_warmup: whether the momentum of the moving average is lower at first, for short trainings:
            `min(ema_momentum, (1 + t) / (10 + t))` at update t. Defaults to False.
        **kwargs: as for `keras.optimizers.AdamW`; `amsgrad` is refused.

    Raises:
        ValueError: at `build`, if a weight matches no rule or several; the message names all such weights.

    Example:

    >>> import keras
    >>> from keras_convnext.training import AdamW
    >>> optimizer = AdamW(learning_rate=1e-3)
    >>> optimizer.build(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).trainable_variables)
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.001,
        weight_decay: float | None = 0.05,
        epsilon: float = 1e-8,
        weight_decay_rules: Sequence[tuple[str, bool]] = WEIGHT_DECAY_RULES,
        learning_rate_rules: Sequence[tuple[str, float]] = EQUAL_RATES,
        unfreeze_rules: Sequence[tuple[str, int]] = FROM_THE_START,
        ema_warmup: bool = False,
        **kwargs: Any,
    ):
        learning_rate = plain(learning_rate)
        if isinstance(learning_rate, Real):
            learning_rate = number("learning_rate", learning_rate, 0)
        super().__init__(
            learning_rate=learning_rate,
            weight_decay=optional(number, "weight_decay", weight_decay, 0),
            epsilon=number("epsilon", epsilon, 0),
            **plain(kwargs),
        )
        if self.ema_overwrite_frequency and self.gradient_accumulation_steps:
            raise ValueError(
                "`ema_overwrite_frequency` cannot be combined with `gradient_accumulation_steps`: it would count "
                "batches, not updates. Leave one of them out."
            )
        if self.amsgrad:
            raise ValueError("`amsgrad` is not part of this optimizer: keras.optimizers.AdamW has it.")
        self.weight_decay_rules = tuple((regex, bool(decays)) for regex, decays in weight_decay_rules)
        self.learning_rate_rules = tuple((regex, float(factor)) for regex, factor in learning_rate_rules)
        self.unfreeze_rules = tuple((regex, int(update)) for regex, update in unfreeze_rules)
        self.ema_warmup = flag("ema_warmup", ema_warmup)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        if self.built:
            return
        variables = list(variables)
        decays = match_rules("weight_decay_rules", self.weight_decay_rules, variables)
        self._factors = match_rules("learning_rate_rules", self.learning_rate_rules, variables)
        self._starts = match_rules("unfreeze_rules", self.unfreeze_rules, variables)
        self.exclude_from_weight_decay(
            var_list=[variable for variable, decay in zip(variables, decays, strict=True) if not decay]
        )
        super().build(variables)
        if self.use_ema:
            for variable, average in self._averages():
                average.assign(ops.copy(variable))

    def factor(self, variable: keras.Variable) -> float:
        """Returns the factor by which the learning rate of a variable is multiplied.

        Args:
            variable: one of those that the optimizer was built with.
        """
        return self._factors[self._get_variable_index(variable)]

    def start(self, variable: keras.Variable) -> int:
        """Returns the update from which on a variable learns.

        Args:
            variable: one of those that the optimizer was built with.
        """
        return self._starts[self._get_variable_index(variable)]

    def decays(self, variable: keras.Variable) -> bool:
        """Returns whether a variable decays.

        Args:
            variable: one of those that the optimizer was built with.
        """
        return self._use_weight_decay(variable)

    def _get_current_learning_rate(self):
        if isinstance(self._learning_rate, keras.optimizers.schedules.LearningRateSchedule):
            return self._learning_rate(self.iterations)
        return super()._get_current_learning_rate()

    def _clip_gradients(self, grads):
        if self.clipnorm or self.global_clipnorm or self.clipvalue:
            return kernels.on_summed_gradients(super()._clip_gradients, grads)
        return grads

    def _apply_weight_decay(self, variables):
        """Does nothing: the decay is part of the step."""

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        if not kernels.adamw_is_multi_tensor():
            super()._backend_update_step(grads, trainable_variables, learning_rate)
            return
        groups = {}
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            kind = self._use_weight_decay(variable), self.factor(variable), self.start(variable)
            groups.setdefault(kind, []).append((gradient, variable))
        for group in groups.values():
            self._step(*zip(*group, strict=True), learning_rate)

    def update_step(self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor | float) -> None:
        self._step([gradient], [variable], learning_rate)

    def _step(self, gradients, variables, learning_rate):
        """Updates weights to which the same rules apply."""
        first = variables[0]
        indices = [self._get_variable_index(variable) for variable in variables]
        kernels.adamw_step(
            gradients,
            variables,
            [self._momentums[index] for index in indices],
            [self._velocities[index] for index in indices],
            iterations=ops.convert_to_tensor(self.iterations),
            learning_rate=learning_rate * self.factor(first) * self._has_begun(self.start(first)),
            weight_decay=self.weight_decay if self._use_weight_decay(first) else 0.0,
            betas=(self.beta_1, self.beta_2),
            epsilon=self.epsilon,
        )

    def _has_begun(self, start):
        """1 from the update `start` on, 0 before."""
        return ops.cast(self.iterations >= start, "float32") if start else 1.0

    def _update_model_variables_moving_average(self, trainable_variables):
        if not self.use_ema:
            return
        rate = ops.convert_to_tensor(1 - self.ema_momentum, "float32")
        if self.ema_warmup:
            rate = ops.maximum(rate, 9 / (10 + ops.cast(self.iterations, "float32")))
        if self.gradient_accumulation_steps:
            is_update = (self._iterations + 1) % self.gradient_accumulation_steps == 0
            rate = ops.where(is_update, rate, 0.0)
        for variable, average in self._averages():
            average.assign(average + (variable - average) * ops.cast(rate, average.dtype))

    def _overwrite_model_variables_with_average_value(self, trainable_variables):
        # Copies, since a step on JAX donates its buffers, and would refuse two variables that share one.
        for variable, average in self._averages():
            variable.assign(ops.copy(average))

    def _averages(self):
        """Pairs of a variable and its moving average. The scales of float8 have none, since they are measured."""
        pairs = zip(self._trainable_variables, self._model_variables_moving_average, strict=True)
        return [(variable, average) for variable, average in pairs if average is not None]

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "weight_decay_rules": [list(rule) for rule in self.weight_decay_rules],
            "learning_rate_rules": [list(rule) for rule in self.learning_rate_rules],
            "unfreeze_rules": [list(rule) for rule in self.unfreeze_rules],
            "ema_warmup": self.ema_warmup,
        }
