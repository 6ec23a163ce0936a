"""A step of the augmentation as a keras-cv layer, for tf.data. Imports keras-cv and TensorFlow."""

import keras
import numpy as np

from keras_convnext.extras import require
from keras_convnext.preprocessing.augmentation.mix import MixUpOrCutMix
from keras_convnext.preprocessing.augmentation.random_erasing import RandomErasing
from keras_convnext.preprocessing.augmentation.step import augment_picture, picture_of

tf = require("tensorflow", extra="cv")  # first: keras-cv does not import without it
keras_cv = require("keras_cv", extra="cv")


@keras.saving.register_keras_serializable(package="keras_convnext")
class AugmentationLayer(keras_cv.layers.BaseImageAugmentationLayer):
    """A keras-cv layer of a step, which draws from a seed that comes with each image.

    Args:
        step: a step of `preprocessing.augmentation`, such as `RandAugment()`.

    Call: a dict with `images` of shape `(height, width, channels)`, or a batch of them, and `seed` of shape `(3,)`, or
    `(batch, 3)`: the training's seed, the epoch, the image. Images are uint8 where the step works on pictures;
    `RandomErasing` takes any numbers and gives float32, and so does `MixUpOrCutMix`, of batches with one-hot `labels`
    alone, which draws from the first image's seed. Other entries pass through.

    Example:

    >>> import numpy as np
    >>> import tensorflow as tf
    >>> from keras_convnext.preprocessing.augmentation import RandomFlip
    >>> from keras_convnext.preprocessing.augmentation.layer import AugmentationLayer
    >>> inputs = {"images": np.zeros((4, 32, 32, 3), "uint8"), "seed": np.zeros((4, 3), "int64")}
    >>> dataset = tf.data.Dataset.from_tensors(inputs).map(AugmentationLayer(RandomFlip(rate=0.5)))
    >>> next(iter(dataset))["images"].shape
    TensorShape([4, 32, 32, 3])
    """

    def __init__(self, step, **kwargs):
        super().__init__(**kwargs)
        self.step = step

    def _ensure_inputs_are_compute_dtype(self, inputs):
        if not isinstance(inputs, dict) or "seed" not in inputs:
            raise ValueError(
                "Expected a dict with `images` and `seed`, the numbers of the training, the epoch and the image. "
                f"Received: {sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__}"
            )
        return {name: tf.convert_to_tensor(value) for name, value in inputs.items()}

    def _augment(self, inputs):
        if isinstance(self.step, MixUpOrCutMix):
            raise ValueError("Expected a batch of images to mix with each other. Received: a single image")
        dtype = tf.float32 if isinstance(self.step, RandomErasing) else tf.uint8
        image = tf.numpy_function(self._augmented, [inputs["images"], inputs["seed"]], dtype, stateful=False)
        image.set_shape([getattr(self.step, side, None) or size for side, size in self._sides(inputs["images"])])
        return {**inputs, "images": image}

    def _batch_augment(self, inputs):
        if not isinstance(self.step, MixUpOrCutMix):
            dtypes = {name: value.dtype for name, value in inputs.items()}
            dtypes["images"] = tf.float32 if isinstance(self.step, RandomErasing) else tf.uint8
            return tf.map_fn(self._augment, inputs, fn_output_signature=dtypes)
        images, labels = tf.numpy_function(
            self._mixed,
            [inputs["images"], inputs["labels"], inputs["seed"]],
            (tf.float32, tf.float32),
            stateful=False,
        )
        images = tf.ensure_shape(images, inputs["images"].shape)
        return {**inputs, "images": images, "labels": tf.ensure_shape(labels, inputs["labels"].shape)}

    @staticmethod
    def _sides(image):
        return zip(("height", "width", "channels"), image.shape, strict=True)

    def _augmented(self, image, seed):
        if not isinstance(self.step, RandomErasing):
            return augment_picture(picture_of(image), seed, [self.step])
        pixels = np.array(image, "float32")
        self.step.erase(pixels, self.step.generator(seed))
        return pixels

    def _mixed(self, images, labels, seeds):
        images = np.array(images, "float32")
        return images, self.step.mix(images, labels, self.step.generator(seeds[0]))

    def get_config(self):
        return {**super().get_config(), "step": keras.saving.serialize_keras_object(self.step)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "step": keras.saving.deserialize_keras_object(config["step"])})
