"""How a model is trained, as data: a `Recipe` gives plain Keras its parts, so that compile and fit stay in sight."""

from dataclasses import dataclass, replace

import keras

from keras_convnext.data import Batches
from keras_convnext.preprocessing import ResizeAndCrop
from keras_convnext.training.optimizer import AdamW
from keras_convnext.training.record import RunRecord
from keras_convnext.training.schedule import WarmupCosine


@dataclass(frozen=True)
class Recipe:
    """The settings of a training, and the parts for `compile` and `fit` that follow from them.

    Attributes:
        source: str, where the settings come from.
        epochs: int.
        batch_size: int, images a step.
        learning_rate: float, the peak, after the warmup.
        warmup_epochs: float, epochs of linear warmup from 0.
        min_learning_rate: float, where the cosine ends.
        weight_decay: float, of the weights that `WEIGHT_DECAY_RULES` names.
        label_smoothing: float in [0, 1).
        drop_path_rate: float in [0, 1), for the model that is to be trained.
        image_size: tuple `(height, width)` in pixels that images are resized and cropped to; None keeps their size.
        threads: int, how many images of a batch are read and transformed at a time.
        seed: int, of the order of the images.

    Example:

    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.data import load_digits
    >>> recipe = RECIPES["digits"].lasting(epochs=1)
    >>> train = recipe.dataset(load_digits().train.take(range(128)))
    >>> model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10, input_shape=(8, 8, 1))
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
    label_smoothing: float = 0.1
    drop_path_rate: float = 0.0
    image_size: tuple[int, int] | None = None
    threads: int = 2
    seed: int = 0

    def lasting(self, epochs):
        """The same recipe over another number of epochs; the warmup keeps its share of them."""
        return replace(self, epochs=epochs, warmup_epochs=self.warmup_epochs * epochs / self.epochs)

    def dataset(self, images, training=True):
        """Batches of `images`: in training drawn anew each epoch and whole batches only, else all in their order.

        Args:
            images: `data.Images`.
            training: bool. Defaults to True.

        Returns:
            `data.Batches`, for `fit`, `evaluate` or `predict`.
        """
        as_they_are = self.image_size is None or (not images.are_files and images.pixels.shape[1:3] == self.image_size)
        transform = None if as_they_are else ResizeAndCrop(*self.image_size)
        return Batches(images, self.batch_size, transform, shuffle=training, seed=self.seed, threads=self.threads)

    def compile(self, model, steps_per_epoch):
        """Compiles a classifier: AdamW under the schedule, smoothed cross-entropy, accuracy.

        Args:
            model: a `ConvNeXtClassifier`, or another model that returns logits.
            steps_per_epoch: int, the schedule's steps in an epoch: the length of the training dataset.
        """
        total_steps = self.epochs * steps_per_epoch
        schedule = WarmupCosine(
            peak=self.learning_rate,
            total_steps=total_steps,
            warmup_steps=min(round(self.warmup_epochs * steps_per_epoch), total_steps),
            minimum=self.min_learning_rate,
        )
        from_logits = getattr(model, "activation", None) is None
        model.compile(
            optimizer=AdamW(schedule, weight_decay=self.weight_decay),
            loss=keras.losses.CategoricalCrossentropy(from_logits=from_logits, label_smoothing=self.label_smoothing),
            metrics=[keras.metrics.CategoricalAccuracy("accuracy")],
        )
        # Where a train step makes variables, the optimizer's or a metric's, TensorFlow traces it twice.
        model.optimizer.build(model.trainable_variables)

    def callbacks(self, run, history=()):
        """The callbacks that keep a training in a run folder: models, history, and all that a resumed run needs.

        Args:
            run: a `Run`.
            history: rows of the epochs that the run has already.
        """
        return [RunRecord(run, history)]

    @classmethod
    def from_config(cls, config):
        """The recipe of which `dataclasses.asdict` and JSON made `config`."""
        size = config["image_size"]
        return cls(**{**config, "image_size": None if size is None else tuple(size)})


RECIPES = {
    # keras-convnext train: 97 % and more of the bundled digits in a minute or two on two cores.
    "digits": Recipe(
        source="keras_convnext",
        epochs=30,
        batch_size=64,
        learning_rate=4e-3,
        warmup_epochs=3,
        drop_path_rate=0.1,
    ),
    # keras-convnext train --data ...: from scratch on images of the user's own.
    "from_scratch": Recipe(
        source="keras_convnext; the settings of arXiv:2201.03545 Table 5 at a small batch",
        epochs=30,
        batch_size=64,
        learning_rate=1e-3,
        warmup_epochs=2,
        drop_path_rate=0.1,
    ),
}
