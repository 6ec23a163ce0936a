"""Training through compile and fit: experiments, recipes, their schedule and optimizer, and the run folder."""

from keras_convnext.training.class_accuracy import ClassAccuracy
from keras_convnext.training.confusion import confusion_matrix, draw_confusion
from keras_convnext.training.curves import draw_curves
from keras_convnext.training.data_size import explain_data_size, for_data_size
from keras_convnext.training.ema import averaged_weights
from keras_convnext.training.evaluate import evaluate
from keras_convnext.training.experiment import Experiment
from keras_convnext.training.fit import create_run, fit
from keras_convnext.training.mistakes import draw_mistakes
from keras_convnext.training.optimizer import AdamW
from keras_convnext.training.parameter_groups import WEIGHT_DECAY_RULES, layer_decay_rules, unfreeze_rules
from keras_convnext.training.predictions import Predictions
from keras_convnext.training.prepared import PreparedTraining
from keras_convnext.training.recipe import Recipe
from keras_convnext.training.recipes import RECIPES
from keras_convnext.training.record import RunRecord
from keras_convnext.training.run import Run
from keras_convnext.training.schedule import WarmupCosine, WarmupPolynomial, WarmupStep
from keras_convnext.training.stop_at_nan import StopAtNaN

__all__ = [
    "RECIPES",
    "WEIGHT_DECAY_RULES",
    "AdamW",
    "ClassAccuracy",
    "Experiment",
    "Predictions",
    "PreparedTraining",
    "Recipe",
    "Run",
    "RunRecord",
    "StopAtNaN",
    "WarmupCosine",
    "WarmupPolynomial",
    "WarmupStep",
    "averaged_weights",
    "confusion_matrix",
    "create_run",
    "draw_confusion",
    "draw_curves",
    "draw_mistakes",
    "evaluate",
    "explain_data_size",
    "fit",
    "for_data_size",
    "layer_decay_rules",
    "unfreeze_rules",
]
