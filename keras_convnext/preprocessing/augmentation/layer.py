"""A step of the augmentation as a keras-cv layer, for tf.data. Imports keras-cv and TensorFlow."""

from typing import Any

import keras
import numpy as np

from keras_convnext.extras import require
from keras_convnext.preprocessing.augmentation.pipeline import augment_batch, augment_image, through_array_steps, to_pil
from keras_convnext.preprocessing.augmentation.random_resized_crop import RandomResizedCrop
from keras_convnext.preprocessing.augmentation.step import Step, check_step

tf = require("tensorflow", extra="cv")  # first: keras-cv does not import without it
keras_cv = require("keras_cv", extra="cv")


@keras.saving.register_keras_serializable(package="keras_convnext")
class AugmentationLayer(keras_cv.layers.BaseImageAugmentationLayer):  # type: ignore[name-defined]  # found at run time
    """A keras-cv layer around a step. It draws random numbers from a seed that comes with each image.

    Args:
        step: a step of `preprocessing.augmentation`, such as `RandAugment()`, or one of your own.

    Raises:
        ValueError: not a step, or a `RandomResizedCrop` without height and width.

    Call: a dict with `images` of shape `(height, width, channels)`, or a batch of them, and `seed` of shape `(3,)`, or
    `(batch, 3)`: the training's seed, the epoch, and the index of the image. A step on images takes and returns uint8,
    a step on arrays takes any numbers and returns float32. A step on batches needs a batch with one-hot `labels`,
    returns float32, and draws from the first image's seed. Other entries pass through.

    Example:

    >>> import numpy as np
    >>> import tensorflow as tf
    >>> from keras_convnext.preprocessing.augmentation import RandomFlip
    >>> from keras_convnext.preprocessing.augmentation.layer import AugmentationLayer
    >>> inputs = {"images": np.zeros((4, 32, 32, 3), "uint8"), "seed": np.zeros((4, 3), "int64")}
    >>> dataset = tf.data.Dataset.from_tensors(inputs).map(AugmentationLayer(RandomFlip(probability=0.5)))
    >>> next(iter(dataset))["images"].shape
    TensorShape([4, 32, 32, 3])
    """

    def __init__(self, step: Step, **kwargs: Any):
        super().__init__(**kwargs)
        check_step(step)
        if isinstance(step, RandomResizedCrop) and None in (step.height, step.width):
            raise ValueError(f"The crop needs a size here: give its `height` and `width`. Received: {step}")
        self.step = step

    def _ensure_inputs_are_compute_dtype(self, inputs):
        if not isinstance(inputs, dict) or "seed" not in inputs:
            raise ValueError(
                "Expected a dict with `images` and `seed`, which is (seed of the training, epoch, index of the image). "
                f"Received: {sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__}"
            )
        return {name: tf.convert_to_tensor(value) for name, value in inputs.items()}

    @property
    def _dtype_of_images(self):
        return tf.uint8 if self.step.works_on == "images" else tf.float32

    def _augment(self, inputs):
        if self.step.works_on == "batches":
            raise ValueError(f"{type(self.step).__name__} needs a batch of images. Received: a single image")
        found = tf.numpy_function(
            self._augmented, [inputs["images"], inputs["seed"]], self._dtype_of_images, stateful=False
        )
        height, width, channels = inputs["images"].shape
        if self.step.works_on == "images":
            height, width = self.step.output_size(height, width)
        found.set_shape((height, width, channels))
        return {**inputs, "images": found}

    def _batch_augment(self, inputs):
        if self.step.works_on != "batches":
            dtypes = {name: value.dtype for name, value in inputs.items()} | {"images": self._dtype_of_images}
            return tf.map_fn(self._augment, inputs, fn_output_signature=dtypes)
        images, labels = tf.numpy_function(
            self._augmented_batch,
            [inputs["images"], inputs["labels"], inputs["seed"]],
            (tf.float32, tf.float32),
            stateful=False,
        )
        images = tf.ensure_shape(images, inputs["images"].shape)
        return {**inputs, "images": images, "labels": tf.ensure_shape(labels, inputs["labels"].shape)}

    def _augmented(self, image, seed):
        if self.step.works_on == "images":
            return augment_image(to_pil(image), seed, [self.step])
        return np.asarray(through_array_steps(image, seed, [self.step]), "float32")

    def _augmented_batch(self, images, labels, seeds):
        return augment_batch(np.array(images, "float32"), labels, seeds[0], [self.step])

    def get_config(self) -> dict:
        return {**super().get_config(), "step": keras.saving.serialize_keras_object(self.step)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "step": keras.saving.deserialize_keras_object(config["step"])})
