"""Layers that draw from a seed that comes with each image, on keras-cv's base layer."""

import numpy as np
import tensorflow as tf
from keras_cv.layers import BaseImageAugmentationLayer


class SeededAugmentation(BaseImageAugmentationLayer):
    """Base of the layers here: a subclass has `augment_image(image, transformation)`, where the latter is the seed.

    Images keep their dtype. `SALT`, a number of its own for each subclass, makes them draw independently of each other.

    Call: a dict with `images` of shape `(height, width, channels)`, or a batch of them, and `seed` of shape `(3,)`, or
    `(batch, 3)`: the training's seed, the epoch, the image. Other entries pass through.
    """

    SALT = 0

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.auto_vectorize = False

    def _ensure_inputs_are_compute_dtype(self, inputs):
        if not isinstance(inputs, dict) or "seed" not in inputs:
            raise ValueError(
                "Expected a dict with `images` and `seed`, the numbers of the training, the epoch and the image. "
                f"Received: {sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__}"
            )
        return dict(inputs)

    def get_random_transformation(self, image=None, **kwargs):
        """Not called: what is drawn follows from the image's seed."""
        raise NotImplementedError

    def _augment(self, inputs):
        return {**inputs, "images": self.augment_image(inputs["images"], transformation=inputs["seed"])}

    def draw(self, seed, shape=()):
        """Numbers in [0, 1), drawn from an image's seed."""
        return tf.random.stateless_uniform(shape, self.fold(seed))

    def fold(self, seed, number=0):
        """A seed for TensorFlow's stateless functions; a number gives another."""
        seed = tf.cast(seed, tf.int32)
        folded = tf.random.experimental.stateless_fold_in(seed[:2], seed[2])
        folded = tf.random.experimental.stateless_fold_in(folded, self.SALT)
        return tf.random.experimental.stateless_fold_in(folded, number)

    def in_numpy(self, function, image, seed, shape):
        """`function(image, generator)` on a uint8 array, outside of the graph; several at a time, as Pillow lets it.

        Args:
            function: takes an array and a `numpy.random.Generator`, and returns a uint8 array.
            image, seed: tensors.
            shape: of the result.
        """

        def call(image, seed):
            return function(image, np.random.Generator(np.random.Philox(np.random.SeedSequence([*seed, self.SALT]))))

        result = tf.numpy_function(call, [image, seed], tf.uint8, stateful=False)
        result.set_shape(shape)
        return result
