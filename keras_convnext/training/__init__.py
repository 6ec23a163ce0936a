"""Training through compile and fit: recipes, their schedule and optimizer, and the run folder."""

from keras_convnext.training.ema import averaged_weights
from keras_convnext.training.evaluate import ClassAccuracy, evaluate
from keras_convnext.training.fit import create_run, fit
from keras_convnext.training.optimizer import AdamW
from keras_convnext.training.parameter_groups import WEIGHT_DECAY_RULES, layer_decay_rules, unfreeze_rules
from keras_convnext.training.recipe import Recipe
from keras_convnext.training.recipes import RECIPES
from keras_convnext.training.record import RunRecord
from keras_convnext.training.run import Run
from keras_convnext.training.schedule import WarmupCosine
from keras_convnext.training.stop_at_nan import StopAtNaN

__all__ = [
    "RECIPES",
    "WEIGHT_DECAY_RULES",
    "AdamW",
    "ClassAccuracy",
    "Recipe",
    "Run",
    "RunRecord",
    "StopAtNaN",
    "WarmupCosine",
    "averaged_weights",
    "create_run",
    "evaluate",
    "fit",
    "layer_decay_rules",
    "unfreeze_rules",
]
