"""A model compiled by a recipe: optimizer, schedule, loss and metric; `Recipe.compile` calls this."""

import warnings
from typing import TYPE_CHECKING

import keras

from keras_convnext.models import backbone_of, returns_logits
from keras_convnext.scalars import integer
from keras_convnext.training.optimizer import AdamW
from keras_convnext.training.parameter_groups import EQUAL_RATES, FROM_THE_START, layer_decay_rules, unfreeze_rules
from keras_convnext.training.schedule import WarmupCosine, WarmupPolynomial, WarmupStep

if TYPE_CHECKING:
    from keras_convnext.training.recipe import Recipe

SANE_LEARNING_RATES = (1e-6, 2e-2)
"""Outside of this range AdamW hardly moves or diverges, so a peak outside of it warns."""


def compile_model(recipe: "Recipe", model: keras.Model, steps_per_epoch: int) -> None:
    """Compiles a classifier as a recipe asks for; see `Recipe.compile`."""
    model.compile(
        optimizer=make_optimizer(recipe, model, steps_per_epoch),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=returns_logits(model), label_smoothing=recipe.loss_smoothing
        ),
        metrics=[keras.metrics.CategoricalAccuracy("accuracy")],
    )


def make_optimizer(recipe: "Recipe", model: keras.Model, steps_per_epoch: int) -> AdamW:
    """Makes the optimizer that a recipe asks for; see `Recipe.optimizer`."""
    low, high = SANE_LEARNING_RATES
    if not low <= recipe.learning_rate <= high:
        warnings.warn(
            f"The learning rate is {recipe.learning_rate:g}: for AdamW, rates from {low:g} to {high:g} make sense.",
            stacklevel=4,  # the caller of Recipe.compile
        )
    updates = integer("steps_per_epoch", steps_per_epoch, 1) // recipe.accumulate
    if updates < 1:
        raise ValueError(
            f"An epoch of {steps_per_epoch} batches does not update the weights: an update takes {recipe.accumulate}."
        )
    optimizer = AdamW(
        _schedule(recipe, updates),
        weight_decay=recipe.weight_decay,
        beta_2=recipe.beta_2,
        learning_rate_rules=_learning_rate_rules(recipe, model),
        unfreeze_rules=_unfreeze_rules(recipe, model, updates),
        gradient_accumulation_steps=recipe.accumulate if recipe.accumulate > 1 else None,
        use_ema=recipe.ema is not None,
        ema_momentum=0.99 if recipe.ema is None else recipe.ema,
        ema_warmup=recipe.ema_warmup,
        global_clipnorm=recipe.clip_norm,
    )
    # If the first train step made the optimizer's variables, TensorFlow would trace it twice.
    optimizer.build(model.trainable_variables)
    return optimizer


def _backbone(model):
    """The ConvNeXt backbone, of which layer decay and unfreezing need the stages."""
    backbone = backbone_of(model)
    if backbone is None:
        raise ValueError(
            "`layer_decay` and `unfreeze` are for a model with a ConvNeXt backbone. "
            f"Received: a {type(model).__name__} without one"
        )
    return backbone


def _schedule(recipe, updates):
    """The learning rate of each update of the weights."""
    total_steps = recipe.epochs * updates
    common = {
        "peak": recipe.learning_rate,
        "total_steps": total_steps,
        "warmup_steps": min(round(recipe.warmup_epochs * updates), total_steps),
    }
    if recipe.schedule == "step":
        return WarmupStep(**common, points=[epoch / recipe.epochs for epoch in recipe.decay_epochs])
    decay = WarmupPolynomial if recipe.schedule == "polynomial" else WarmupCosine
    return decay(**common, minimum=recipe.min_learning_rate)


def _learning_rate_rules(recipe, model):
    if recipe.layer_decay is None:
        return EQUAL_RATES
    return layer_decay_rules(_backbone(model).depths, recipe.layer_decay, recipe.layer_decay_kind)


def _unfreeze_rules(recipe, model, updates):
    """The rules for the stages that learn later. Freezes the earlier ones for good, which spares their gradients."""
    if recipe.unfreeze is None:
        return FROM_THE_START
    backbone = _backbone(model)
    count = len(backbone.depths)
    if len(recipe.unfreeze) > count:
        raise ValueError(
            f"`unfreeze` has {len(recipe.unfreeze)} epochs, one per stage from the last one backwards, but the model "
            f"has {count} stages."
        )
    backbone.freeze_stages(count - len(recipe.unfreeze))
    stages = (f"stage_{count - 1 - place}" for place in range(count))
    return unfreeze_rules(
        {stage: round(epoch * updates) for stage, epoch in zip(stages, recipe.unfreeze, strict=False)}
    )
