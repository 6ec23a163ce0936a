"""How a model is trained, as data: a `Recipe` makes what Keras's own `compile` and `fit` take.

The modules `dataset`, `compile` and `record` beside it build the datasets, compile the model and write the run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import keras

from keras_convnext.data import Images
from keras_convnext.dataclass_fields import dataclass_from, make_plain
from keras_convnext.preprocessing import Augmentation
from keras_convnext.preprocessing.augmentation import Step
from keras_convnext.scalars import (
    between,
    flag,
    integer,
    integers,
    number,
    numbers,
    optional,
    plain,
    rate,
    share,
)
from keras_convnext.training.compile import compile_model, make_optimizer
from keras_convnext.training.dataset import make_dataset
from keras_convnext.training.engine import Engine
from keras_convnext.training.optimizer import AdamW
from keras_convnext.training.parameter_groups import LAYER_DECAYS
from keras_convnext.training.record import run_callbacks
from keras_convnext.training.run import Run
from keras_convnext.training.schedule import SCHEDULES
from keras_convnext.variants import VARIANTS

DTYPES = ("float32", "mixed_bfloat16", "mixed_float16", "bfloat16", "float16", "float64")
"""Keras's dtype policies for training. Quantized ones, such as `"float8_from_float32"`, are for inference."""

CHECKS = (
    (lambda name, value: integer(name, value, 1), ("epochs", "batch_size", "accumulate")),
    (lambda name, value: integer(name, value, 0), ("seed",)),
    (lambda name, value: optional(integer, name, value, 1), ("min_updates", "workers")),
    (
        lambda name, value: number(name, value, 0),
        ("learning_rate", "min_learning_rate", "weight_decay", "warmup_epochs", "head_init_scale"),
    ),
    (lambda name, value: optional(number, name, value), ("layer_scale_init_value", "clip_norm")),
    (lambda name, value: optional(numbers, name, value, 0), ("unfreeze", "decay_epochs")),
    (lambda name, value: optional(between, name, value, 0, 1), ("ema",)),
    (lambda name, value: optional(share, name, value), ("layer_decay",)),
    (rate, ("label_smoothing", "drop_path_rate", "beta_2")),
    (flag, ("ema_warmup", "remat")),
)
"""The checks of single settings of a recipe."""


@dataclass(frozen=True)
class Recipe:
    """The settings of a training. It makes the datasets, the optimizer and the callbacks for Keras's own `fit`.

    Attributes:
        source: where the settings come from.
        epochs: number of epochs.
        batch_size: images per update of the weights.
        learning_rate: peak of the learning rate, after the warmup, at this batch size.
        warmup_epochs: number of epochs of linear warmup from 0.
        min_learning_rate: learning rate at the end of the cosine or polynomial decay.
        weight_decay: weight decay of the weights that decay by `WEIGHT_DECAY_RULES`.
        layer_decay: learning rate of a layer divided by that of the next one, in (0, 1]; None for equal rates. See
            `layer_decay_rules`.
        layer_decay_kind: `"group"`, `"single"` or `"stage_wise"`.
        unfreeze: for a pretrained backbone, the epochs at which its stages are unfrozen, from the last stage backwards.
            `(5, 8)` unfreezes the last stage at epoch 5 and the one before it at epoch 8; earlier stages and the stem
            stay frozen. None: all layers learn from the start.
        label_smoothing: smoothing of the labels, before MixUp and CutMix mix them, in [0, 1).
        drop_path_rate: rate of stochastic depth in the model, in [0, 1).
        head_init_scale: factor of the initial weights of the model's new head.
        layer_scale_init_value: initial value of the layer scale, in models that have one; None for the variant's own.
        ema: momentum of the moving average of the weights, which is evaluated and saved; None for no average.
        ema_warmup: whether the momentum of the average is lower at first, for short trainings.
        augmentation: `preprocessing.Augmentation`, or a list of its steps; None for no augmentation.
        image_size: `(height, width)` in pixels to which images are resized and cropped; None keeps their size.
        accumulate: number of parts into which the batch of an update is split. Their gradients are computed one after
            the other and accumulated, to save memory.
        dtype: Keras's dtype policy of the model, one of `DTYPES`, such as `"mixed_bfloat16"`; None for the global one.
        remat: whether the model's blocks are recomputed in the backward pass.
        workers: number of processes that augment images, or of threads that read them; None: one per core.
        seed: seed of the order of the images and of their augmentation.
        variants: settings that replace these for some variants, by name of the variant; see `for_variant`.
        min_updates: least number of updates of the weights in a training. For few images, `for_data_size` chooses
            smaller batches and more epochs to reach it. None: a published recipe, which it leaves as it is.
        description: what the recipe is for, in one line.
        schedule: how the learning rate falls after the warmup: `"cosine"` (`WarmupCosine`), `"step"` (`WarmupStep`: a
            tenth at each of `decay_epochs`) or `"polynomial"` (`WarmupPolynomial`: along a straight line).
        decay_epochs: for `"step"`, the epochs from which the learning rate is a tenth of what it was.
        clip_norm: greatest norm of all gradients of an update together, above which they are scaled down to it; None
            for no limit.
        beta_2: decay rate of the optimizer's mean of squared gradients, in [0, 1). With 0.999, the steps are small for
            thousands of updates after large gradients, as those of the first updates from scratch often are; 0.95
            forgets them sooner.

    Raises:
        ValueError: a value out of its range.

    Example:

    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.data import load_digits
    >>> from keras_convnext.training import RECIPES
    >>> recipe = RECIPES["digits"].with_epochs(1)
    >>> train = recipe.dataset(load_digits().train.take(range(128)))
    >>> model = ConvNeXtClassifier.from_preset(
    ...     "convnext_mini", num_classes=10, input_shape=(8, 8, 1), **recipe.model_arguments
    ... )
    >>> recipe.compile(model, steps_per_epoch=len(train))
    >>> history = model.fit(train, epochs=recipe.epochs, shuffle=False, verbose=0)
    """

    source: str
    epochs: int
    batch_size: int
    learning_rate: float
    warmup_epochs: float
    min_learning_rate: float = 1e-6
    weight_decay: float = 0.05
    layer_decay: float | None = None
    layer_decay_kind: str = "group"
    unfreeze: tuple[float, ...] | None = None
    label_smoothing: float = 0.1
    drop_path_rate: float = 0.0
    head_init_scale: float = 1.0
    layer_scale_init_value: float | None = None
    ema: float | None = None
    ema_warmup: bool = False
    augmentation: Augmentation | Sequence[Step] | None = None
    image_size: tuple[int, int] | None = None
    accumulate: int = 1
    dtype: str | None = None
    remat: bool = False
    workers: int | None = None
    seed: int = 0
    variants: dict[str, dict] = field(default_factory=dict)
    min_updates: int | None = None
    description: str = ""
    schedule: str = "cosine"
    decay_epochs: tuple[float, ...] | None = None
    clip_norm: float | None = None
    beta_2: float = 0.999

    def __post_init__(self):
        make_plain(self)
        if isinstance(self.augmentation, list | tuple):
            object.__setattr__(self, "augmentation", Augmentation(self.augmentation))
        for check, names in CHECKS:
            for name in names:
                check(name, getattr(self, name))
        self._check("dtype", self.dtype is None or self.dtype in DTYPES, f"None, or one of {', '.join(DTYPES)}")
        self._check("layer_decay_kind", self.layer_decay_kind in LAYER_DECAYS, f"one of {', '.join(LAYER_DECAYS)}")
        self._check(
            "augmentation",
            isinstance(self.augmentation, Augmentation | None),
            "an `Augmentation`, a list of its steps, or None",
        )
        is_size = self.image_size is None or len(integers("image_size", self.image_size, 1)) == 2
        self._check("image_size", is_size, "None, or (height, width) in pixels")
        starts = self.unfreeze or ()
        self._check("unfreeze", all(epoch < self.epochs for epoch in starts), "epochs of the training")
        self._check("schedule", self.schedule in SCHEDULES, f"one of {', '.join(SCHEDULES)}")
        expected = "one epoch or more of the training" if self.schedule == "step" else f"None for {self.schedule}"
        decays = self.decay_epochs or ()
        has_decays = bool(decays) == (self.schedule == "step") and all(epoch < self.epochs for epoch in decays)
        self._check("decay_epochs", has_decays, expected)
        self._check("clip_norm", self.clip_norm is None or self.clip_norm > 0, "None, or a number above 0")
        self._check("accumulate", self.batch_size % self.accumulate == 0, f"a divisor of {self.batch_size} images")

    def _check(self, name, is_right, expected):
        if not is_right:
            raise ValueError(f"`{name}` must be {expected}. Received: {name}={getattr(self, name)!r}")

    def with_epochs(self, epochs: int) -> "Recipe":
        """Returns the recipe with another number of epochs. Warmup, decay and unfreezing keep their share of them.

        Args:
            epochs: number of epochs, 1 or more.
        """
        epochs = integer("epochs", epochs, 1)
        scale = epochs / self.epochs

        def scaled(given):
            return None if given is None else tuple(epoch * scale for epoch in given)

        return replace(
            self,
            epochs=epochs,
            warmup_epochs=self.warmup_epochs * scale,
            decay_epochs=scaled(self.decay_epochs),
            unfreeze=scaled(self.unfreeze),
        )

    def at_batch_size(self, batch_size: int) -> "Recipe":
        """Returns the recipe at another batch size. The learning rate is scaled in proportion, as the authors do it.

        Args:
            batch_size: images per update of the weights, 1 or more.
        """
        batch_size = integer("batch_size", batch_size, 1)
        if batch_size == self.batch_size:  # keeps the rate to the last digit
            return self
        rate = self.learning_rate * batch_size / self.batch_size
        least = min(self.min_learning_rate, rate)
        return replace(self, batch_size=batch_size, learning_rate=rate, min_learning_rate=least)

    def for_variant(self, name: str | None) -> "Recipe":
        """Returns the recipe with the settings that its source gives for a variant, if it gives any.

        Args:
            name: a name in `VARIANTS`. None or another name keeps the general settings.

        Example:

        >>> from keras_convnext.training import RECIPES
        >>> RECIPES["in1k_from_scratch"].for_variant("convnext_base").drop_path_rate
        0.5
        """
        recipe = replace(self.with_settings(self.variants.get(name or "", {})), variants={})
        has_layer_scale = name not in VARIANTS or VARIANTS[name].layer_scale_init_value is not None
        return recipe if has_layer_scale else replace(recipe, layer_scale_init_value=None)

    def with_settings(self, settings: dict) -> "Recipe":
        """Returns the recipe with some settings changed.

        If `epochs` changes, warmup, decay and unfreezing keep their share of the training, as in `with_epochs`, unless
        they are given too.

        Args:
            settings: new values by the names of attributes, as JSON types. `augmentation` is a complete list of steps,
                or a dict of some of `Augmentation`'s settings, such as `{"mixup": 0.2}`, which changes the recipe's own
                augmentation.

        Raises:
            ValueError: an unknown setting, or a value out of its range; the message names it.

        Example:

        >>> from keras_convnext.training import RECIPES
        >>> RECIPES["fine_tune"].with_settings({"augmentation": {"mixup": 0.2}}).augmentation.mixup
        0.2
        """
        epochs = plain(settings.get("epochs"))
        rescaled = self if epochs is None else self.with_epochs(epochs)
        own = {one.name: getattr(rescaled, one.name) for one in fields(Recipe)}
        return _from_settings({**own, **plain(settings)}, self.augmentation)

    @property
    def model_arguments(self) -> dict:
        """The recipe's arguments for `ConvNeXtClassifier.from_preset`: drop path, initial scales, dtype, remat."""
        always = {name: getattr(self, name) for name in ("drop_path_rate", "head_init_scale", "remat")}
        given = {name: getattr(self, name) for name in ("layer_scale_init_value", "dtype")}
        return always | {name: value for name, value in given.items() if value is not None}

    @property
    def loss_smoothing(self) -> float:
        """The label smoothing of the compiled loss. It is 0 with augmentation, which smooths the labels itself."""
        return 0.0 if self.augmentation is not None else self.label_smoothing

    def dataset(
        self,
        images: Images,
        training: bool = True,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
        engine: str = "processes",
    ) -> Any:
        """Makes batches of images. Those for training are augmented, in a new random order each epoch.

        Args:
            images: `data.Images`.
            training: whether the batches are for training. If so, an epoch leaves out images that do not fill an
                update. Otherwise the batches have all images, in order. Defaults to True.
            mean: what the model subtracts, per channel in units of 0..1. Augmentation fills and erases with it.
                Defaults to None: ImageNet's.
            std: what the model divides by, per channel in units of 0..1. Defaults to None: ImageNet's.
            engine: what augments the images. `"processes"` are processes beside the training; `"keras_cv"` is a tf.data
                graph of keras-cv layers, which needs the extra `cv` and gives the same batches: the first pass over the
                dataset those of epoch 0, and each pass those of the next epoch. Defaults to `"processes"`.

        Returns:
            `data.AugmentedBatches` or `data.Batches`, for `fit` (with `shuffle=False`), `evaluate` or `predict`; with
            augmentation by the engine `"keras_cv"`, a `tf.data.Dataset`.

        Raises:
            ValueError: an unknown engine; or there are fewer training images than a batch has, so that the weights
                would not be updated.
        """
        return make_dataset(self, images, training, mean, std, engine)

    def compile(self, model: keras.Model, steps_per_epoch: int) -> None:
        """Compiles a classifier with `optimizer`, cross-entropy of soft labels, and accuracy.

        Args:
            model: a `ConvNeXtClassifier`, or another model that returns logits; with layer decay, one with a
                `backbone`.
            steps_per_epoch: batches per epoch, the length of the training dataset.

        Raises:
            ValueError: an epoch has no update of the weights, or the rules on weights do not fit the model.

        Warns:
            UserWarning: the learning rate is far outside the usual range for AdamW.
        """
        compile_model(self, model, steps_per_epoch)

    def optimizer(self, model: keras.Model, steps_per_epoch: int) -> AdamW:
        """Makes AdamW with the recipe's schedule and its rules on weights, for your own call of `compile`.

        Args:
            model: a classifier, detector or segmenter; with layer decay or unfreezing, one with a ConvNeXt backbone.
                Unfreezing freezes the stages of the model that never learn.
            steps_per_epoch: batches per epoch, the length of the training dataset.

        Raises:
            ValueError: as for `compile`.

        Warns:
            UserWarning: as for `compile`.

        Example:

        >>> from keras_convnext import ConvNeXtClassifier
        >>> from keras_convnext.training import RECIPES
        >>> model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10, input_shape=(8, 8, 1))
        >>> optimizer = RECIPES["digits"].optimizer(model, steps_per_epoch=20)
        >>> model.compile(optimizer=optimizer, loss="mse")
        """
        return make_optimizer(self, model, steps_per_epoch)

    def callbacks(
        self, run: Run, history: Sequence[dict] = (), validation: Any = None, engine: Engine | None = None
    ) -> list[keras.callbacks.Callback]:
        """Returns the callbacks that write a run: models, history, and the state that resuming needs.

        Args:
            run: a `Run`.
            history: rows of the epochs that the run already has.
            validation: the dataset on which the moving average is evaluated; needed if the recipe has one.
            engine: the `Engine` that trains. Defaults to None: one device.

        Raises:
            ValueError: the recipe has a moving average, and there is no validation dataset.
        """
        if self.ema is not None and validation is None:
            raise ValueError("`validation` is needed: the moving average of the weights is evaluated on it.")
        return run_callbacks(run, history, validation, engine)

    def get_config(self) -> dict:
        """Returns the settings as JSON types. A run's `config.json` holds them under `recipe`.

        Raises:
            ValueError: the class of a step of the augmentation is not registered with Keras.
        """
        return settings_config({one.name: getattr(self, one.name) for one in fields(self)})

    @classmethod
    def from_config(cls, config: dict) -> "Recipe":
        """Creates a recipe from a configuration that `get_config` returned or version 0.2.0 wrote.

        Args:
            config: the settings. `augmentation` is a list of steps, or a dict of settings that changes the paper's
                augmentation.

        Raises:
            ValueError: an unknown setting, or a value out of its range.
        """
        return _from_settings(config, None)


def settings_config(settings: dict) -> dict:
    """Converts the augmentation in a recipe's settings to JSON types: a list of steps becomes a list of dicts.

    Args:
        settings: some of a recipe's attributes, by name.

    Raises:
        ValueError: an item is not a step, or the class of a step is not registered with Keras.

    Example:

    >>> from keras_convnext.preprocessing.augmentation import RandomFlip
    >>> from keras_convnext.training.recipe import settings_config
    >>> settings_config({"epochs": 3, "augmentation": [RandomFlip()]})
    {'epochs': 3, 'augmentation': [{'class': 'RandomFlip', 'probability': 0.5}]}
    """
    if not isinstance(settings, dict):  # of a variant: they are refused where they are used
        return settings
    config = dict(settings)
    given = config.get("augmentation")
    if isinstance(given, list | tuple) and not all(isinstance(one, dict) for one in given):
        given = Augmentation(given)
    if isinstance(given, Augmentation):
        config["augmentation"] = given.get_config()
    if isinstance(config.get("variants"), dict):
        config["variants"] = {name: settings_config(changes) for name, changes in config["variants"].items()}
    return config


def _from_settings(settings, augmentation):
    """Creates a recipe from settings as JSON types. A dict of augmentation settings changes `augmentation`."""
    if not isinstance(settings, dict):
        raise ValueError(f"Expected a dict of a recipe's settings. Received: {settings!r}")
    settings = plain(settings)
    given = settings.get("augmentation")
    if isinstance(given, dict) or (isinstance(given, list | tuple) and all(isinstance(one, dict) for one in given)):
        settings["augmentation"] = Augmentation.from_config(given, augmentation)
    if isinstance(settings.get("image_size"), int):
        settings["image_size"] = (settings["image_size"],) * 2
    return dataclass_from(Recipe, settings)
