"""How a model is trained, as data: a `Recipe` gives plain Keras its parts, so that compile and fit stay in sight."""

import math
import warnings
from dataclasses import asdict, dataclass, field, fields, replace
from numbers import Real

import keras

from keras_convnext.data import AugmentedBatches, Batches
from keras_convnext.preprocessing import Augmentation, ResizeAndCrop
from keras_convnext.scalars import integer, make_plain, plain
from keras_convnext.training.optimizer import AdamW
from keras_convnext.training.parameter_groups import (
    EQUAL_RATES,
    FROM_THE_START,
    LAYER_DECAYS,
    layer_decay_rules,
    unfreeze_rules,
)
from keras_convnext.training.record import RunRecord
from keras_convnext.training.schedule import WarmupCosine
from keras_convnext.training.stop_at_nan import StopAtNaN
from keras_convnext.variants import VARIANTS

SANE_LEARNING_RATES = (1e-6, 2e-2)
"""Peaks outside of these warn: AdamW hardly moves, or diverges."""

DTYPES = ("float32", "mixed_bfloat16", "mixed_float16", "bfloat16", "float16", "float64")
"""Keras's policies that a training can run in. Quantized ones, such as `"float8_from_float32"`, are for inference."""


@dataclass(frozen=True)
class Recipe:
    """The settings of a training, and the parts for `compile` and `fit` that follow from them.

    Attributes:
        source: where the settings come from.
        epochs: how many.
        batch_size: images an update of the weights.
        learning_rate: the peak, after the warmup, at this batch size.
        warmup_epochs: epochs of linear warmup from 0.
        min_learning_rate: where the cosine ends.
        weight_decay: of the weights that `WEIGHT_DECAY_RULES` names.
        layer_decay: the rate of a layer over that of the next, in (0, 1]; None for equal rates. See
            `layer_decay_rules`.
        layer_decay_kind: `"group"`, `"single"` or `"stage_wise"`.
        unfreeze: for a pretrained backbone, the epochs from which on its last stage, the one before it and so on learn,
            such as `(5, 8)`; earlier stages and the stem stay as they are. None: all learn from the start.
        label_smoothing: in [0, 1); of mixed labels too.
        drop_path_rate: in [0, 1), for the model that is to be trained.
        head_init_scale: for the model's new head.
        layer_scale_init_value: where the model has a layer scale, what it begins with; None for the variant's own.
        ema: momentum of the weights' moving average, which is evaluated and kept; None for none.
        ema_warmup: whether it forgets faster at first, for short trainings.
        augmentation: `preprocessing.Augmentation`, or None for none.
        image_size: `(height, width)` in pixels that images are resized and cropped to; None keeps their size.
        accumulate: into how many parts an update's batch is split, computed one after the other, for want of memory.
        dtype: Keras's policy for the model, one of `DTYPES`, such as `"mixed_bfloat16"`; None for the global one.
        remat: whether the model's blocks are recomputed in the backward pass.
        workers: processes that augment, or threads that read images; None: one for each core.
        seed: of the order of the images and all that is drawn for them.
        variants: for some variants, settings in place of these; see `for_variant`.
        min_updates: how many updates of the weights a training needs at least; with fewer images `for_data_size` takes
            smaller batches and more epochs. None: a published recipe, whose batches and epochs it leaves as they are.
        description: what the recipe is for, in one line.

    Raises:
        ValueError: a number out of its range.

    Example:

    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.data import load_digits
    >>> from keras_convnext.training import RECIPES
    >>> recipe = RECIPES["digits"].lasting(epochs=1)
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
    augmentation: Augmentation | None = None
    image_size: tuple[int, int] | None = None
    accumulate: int = 1
    dtype: str | None = None
    remat: bool = False
    workers: int | None = None
    seed: int = 0
    variants: dict[str, dict] = field(default_factory=dict)
    min_updates: int | None = None
    description: str = ""

    def __post_init__(self):
        make_plain(self)
        for name in ("epochs", "batch_size", "accumulate"):
            self._check(name, _is(int, getattr(self, name)) and getattr(self, name) >= 1, "a whole number from 1 up")
        for name in ("learning_rate", "weight_decay", "warmup_epochs", "min_learning_rate"):
            self._check(name, _is(Real, getattr(self, name)) and getattr(self, name) >= 0, "a number from 0 up")
        for name in ("label_smoothing", "drop_path_rate"):
            self._check(name, _is(Real, getattr(self, name)) and 0 <= getattr(self, name) < 1, "from 0 up, below 1")
        for name in ("ema", "layer_decay", "layer_scale_init_value"):
            value = getattr(self, name)
            self._check(name, value is None or (_is(Real, value) and 0 <= value <= 1), "None, or from 0 to 1")
        self._check("seed", _is(int, self.seed) and self.seed >= 0, "a whole number from 0 up")
        updates = self.min_updates
        self._check("min_updates", updates is None or (_is(int, updates) and updates >= 1), "None, or from 1 up")
        self._check("dtype", self.dtype is None or self.dtype in DTYPES, f"None, or one of {', '.join(DTYPES)}")
        self._check("workers", self.workers is None or _is(int, self.workers), "None, or a whole number")
        self._check("layer_decay_kind", self.layer_decay_kind in LAYER_DECAYS, f"one of {', '.join(LAYER_DECAYS)}")
        self._check("augmentation", isinstance(self.augmentation, Augmentation | None), "an `Augmentation` or None")
        for name, kind, count in (("image_size", int, 2), ("unfreeze", Real, None)):
            value = getattr(self, name)
            is_right = value is None or (isinstance(value, tuple) and all(_is(kind, one) for one in value))
            self._check(name, is_right and (value is None or count in (None, len(value))), "None, or numbers")
        starts = self.unfreeze or ()
        self._check("unfreeze", all(0 <= epoch < self.epochs for epoch in starts), "epochs of the training")
        self._check("accumulate", self.batch_size % self.accumulate == 0, f"a divisor of {self.batch_size} images")

    def _check(self, name, is_right, expected):
        if not is_right:
            raise ValueError(f"`{name}` must be {expected}. Received: {name}={getattr(self, name)!r}")

    def lasting(self, epochs):
        """The same recipe over another number of epochs; warmup and unfreezing keep their share of them."""
        epochs = integer("epochs", epochs, 1)
        scale = epochs / self.epochs
        unfreeze = None if self.unfreeze is None else tuple(epoch * scale for epoch in self.unfreeze)
        return replace(self, epochs=epochs, warmup_epochs=self.warmup_epochs * scale, unfreeze=unfreeze)

    def at_batch_size(self, batch_size):
        """The same recipe at another batch size: the peak of the rate is scaled alike, as the authors do it."""
        batch_size = integer("batch_size", batch_size, 1)
        if batch_size == self.batch_size:  # whose rate then stays to the last digit
            return self
        rate = self.learning_rate * batch_size / self.batch_size
        least = min(self.min_learning_rate, rate)
        return replace(self, batch_size=batch_size, learning_rate=rate, min_learning_rate=least)

    def for_variant(self, name):
        """The recipe with what its source has for a variant of `VARIANTS`; as it is where the source has nothing.

        Example:

        >>> from keras_convnext.training import RECIPES
        >>> RECIPES["in1k_from_scratch"].for_variant("convnext_base").drop_path_rate
        0.5
        """
        recipe = replace(self.with_settings(self.variants.get(name, {})), variants={})
        has_layer_scale = name not in VARIANTS or VARIANTS[name].layer_scale_init_value is not None
        return recipe if has_layer_scale else replace(recipe, layer_scale_init_value=None)

    def with_settings(self, settings):
        """The recipe with other settings.

        Where `epochs` is among them, warmup and unfreezing keep their share of the training, as by `lasting`, unless
        they are among them too.

        Args:
            settings: dict of attributes, as JSON has them; `augmentation` may have some of `Augmentation`'s alone.

        Raises:
            ValueError: no such setting, or a value out of range; the message names it.
        """
        epochs = plain(settings.get("epochs"))
        rescaled = self.lasting(epochs) if _is(int, epochs) and epochs >= 1 else self
        return Recipe.from_config({**asdict(rescaled), **plain(settings)}, self.augmentation)

    @property
    def model_arguments(self):
        """Arguments for `ConvNeXtClassifier.from_preset` that the recipe has: drop path, scales, dtype, remat."""
        always = {name: getattr(self, name) for name in ("drop_path_rate", "head_init_scale", "remat")}
        given = {name: getattr(self, name) for name in ("layer_scale_init_value", "dtype")}
        return always | {name: value for name, value in given.items() if value is not None}

    @property
    def loss_smoothing(self):
        """The label smoothing of the compiled loss: none where the augmented batches have smoothed labels."""
        return 0.0 if self.augmentation is not None else self.label_smoothing

    def dataset(self, images, training=True, mean=None, std=None):
        """Batches of `images`: in training drawn anew each epoch, augmented, whole updates only; else all in order.

        Args:
            images: `data.Images`.
            training: bool. Defaults to True.
            mean, std: tuple of float in units of 0..1, what the model normalizes with: for what is erased, and for what
                comes in from outside. Default to ImageNet's.

        Returns:
            `data.AugmentedBatches` or `data.Batches`, for `fit` (with `shuffle=False`), `evaluate` or `predict`.

        Raises:
            ValueError: in training, fewer images than a batch: there would be no update.
        """
        if training and len(images) < self.batch_size:
            raise ValueError(
                f"The batch of {self.batch_size} images is larger than the {len(images)} training images, so that the "
                f"weights would never be updated. Take a batch of {len(images)} images or fewer."
            )
        batch_size = max(1, min(self.batch_size, len(images)) // self.accumulate)
        size = self.image_size or (None if images.are_files else images.pixels.shape[1:3])
        if training and self.augmentation is not None:
            if size is None:
                raise ValueError("`image_size` is needed to make batches of image files. Received: None")
            return AugmentedBatches(
                images,
                size,
                self.augmentation,
                batch_size,
                label_smoothing=self.label_smoothing,
                seed=self.seed,
                workers=self.workers,
                mean=mean,
                std=std,
                group=self.accumulate,
            )
        as_they_are = self.image_size is None or (not images.are_files and images.pixels.shape[1:3] == self.image_size)
        transform = None if as_they_are else ResizeAndCrop(*self.image_size)
        return Batches(
            images, batch_size, transform, training, self.seed, self.workers, group=self.accumulate if training else 1
        )

    def compile(self, model, steps_per_epoch):
        """Compiles a classifier: AdamW under the schedule, cross-entropy of soft labels, accuracy.

        Args:
            model: a `ConvNeXtClassifier`, or another model that returns logits; with layer decay, one with a
                `backbone`.
            steps_per_epoch: int, the batches of an epoch: the length of the training dataset.

        Raises:
            ValueError: an epoch has no update of the weights, or there are rules that are not for this model.

        Warns:
            UserWarning: the learning rate is out of any sane range.
        """
        low, high = SANE_LEARNING_RATES
        if not low <= self.learning_rate <= high:
            warnings.warn(
                f"The learning rate is {self.learning_rate:g}: for AdamW, from {low:g} to {high:g} are sane.",
                stacklevel=2,
            )
        updates = integer("steps_per_epoch", steps_per_epoch, 1) // self.accumulate
        if updates < 1:
            raise ValueError(
                f"An epoch of {steps_per_epoch} batches does not update the weights: an update takes {self.accumulate}."
            )
        total_steps = self.epochs * updates
        schedule = WarmupCosine(
            peak=self.learning_rate,
            total_steps=total_steps,
            warmup_steps=min(round(self.warmup_epochs * updates), total_steps),
            minimum=self.min_learning_rate,
        )
        starts = FROM_THE_START
        if self.unfreeze is not None:
            count = len(model.backbone.depths)
            if len(self.unfreeze) > count:
                raise ValueError(f"`unfreeze` has {len(self.unfreeze)} stages, the model {count}.")
            model.backbone.freeze_stages(count - len(self.unfreeze))  # for good, which spares their gradients
            stages = (f"stage_{count - 1 - place}" for place in range(count))
            starts = unfreeze_rules({s: round(e * updates) for s, e in zip(stages, self.unfreeze, strict=False)})
        rates = EQUAL_RATES
        if self.layer_decay is not None:
            rates = layer_decay_rules(model.backbone.depths, self.layer_decay, self.layer_decay_kind)
        optimizer = AdamW(
            schedule,
            weight_decay=self.weight_decay,
            learning_rate_rules=rates,
            unfreeze_rules=starts,
            gradient_accumulation_steps=self.accumulate if self.accumulate > 1 else None,
            use_ema=self.ema is not None,
            ema_momentum=0.99 if self.ema is None else self.ema,
            ema_warmup=self.ema_warmup,
        )
        from_logits = getattr(model, "activation", None) is None
        model.compile(
            optimizer=optimizer,
            loss=keras.losses.CategoricalCrossentropy(from_logits=from_logits, label_smoothing=self.loss_smoothing),
            metrics=[keras.metrics.CategoricalAccuracy("accuracy")],
        )
        # Where a train step makes variables, the optimizer's or a metric's, TensorFlow traces it twice.
        model.optimizer.build(model.trainable_variables)

    def callbacks(self, run, history=(), validation=None):
        """The callbacks that keep a training in a run folder: models, history, and all that a resumed run needs.

        Args:
            run: a `Run`.
            history: rows of the epochs that the run has already.
            validation: the dataset on which the moving average is evaluated; needed where the recipe has one.

        Raises:
            ValueError: a moving average and no validation dataset.
        """
        if self.ema is not None and validation is None:
            raise ValueError("`validation` is needed: the moving average of the weights is evaluated on it.")
        return [RunRecord(run, history, validation), StopAtNaN(run)]

    @classmethod
    def from_config(cls, config, augmentation=None):
        """The recipe of which `dataclasses.asdict` and JSON made `config`.

        Args:
            config: dict.
            augmentation: `Augmentation` of which the settings are that `config` does not have. Defaults to the paper's.

        Raises:
            ValueError: a name that no recipe has, or a value out of its range.
        """
        config = plain(dict(config))
        if isinstance(config.get("augmentation"), dict):
            base = asdict(augmentation or Augmentation())
            config["augmentation"] = _dataclass_from(Augmentation, {**base, **config["augmentation"]})
        if isinstance(config.get("image_size"), int):
            config["image_size"] = (config["image_size"],) * 2
        return _dataclass_from(cls, config)


def _is(kind, value):
    return isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)


def _dataclass_from(kind, config):
    """An instance of a dataclass from what JSON has: lists become tuples."""
    known = {one.name for one in fields(kind)}
    if not isinstance(config, dict):
        raise ValueError(f"Expected settings of {kind.__name__} by their names. Received: {config!r}")
    unknown = sorted(set(config) - known)
    missing = [one.name for one in fields(kind) if one.default is one.default_factory and one.name not in config]
    if missing:
        raise ValueError(f"{kind.__name__} needs {', '.join(missing)} too.")
    if unknown:
        raise ValueError(f"No such setting: {', '.join(unknown)}. {kind.__name__} has {', '.join(sorted(known))}.")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in config.items()})
