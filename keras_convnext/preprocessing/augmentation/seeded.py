"""Layers that draw from a seed that comes with each image, on keras-cv's base layer."""

import numpy as np
import tensorflow as tf
from keras_cv.layers import BaseImageAugmentationLayer
from PIL import Image


class SeededAugmentation(BaseImageAugmentationLayer):
    """Base of the layers here: a subclass has `augment_image(image, transformation)`, where the latter is the seed.

    Images keep their dtype. `SALT`, a number of its own for each subclass, makes them draw independently of each other.

    Call: a dict with `images` of shape `(height, width, channels)`, or a batch of them, and `seed` of shape `(3,)`, or
    `(batch, 3)`: the training's seed, the epoch, the image. Other entries pass through.
    """

    SALT = 0

    def _ensure_inputs_are_compute_dtype(self, inputs):
        if not isinstance(inputs, dict) or "seed" not in inputs:
            raise ValueError(
                "Expected a dict with `images` and `seed`, the numbers of the training, the epoch and the image. "
                f"Received: {sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__}"
            )
        return {name: tf.convert_to_tensor(value) for name, value in inputs.items()}

    def _batch_augment(self, inputs):
        signature = {name: value.dtype for name, value in inputs.items()}
        return tf.map_fn(self._augment, inputs, fn_output_signature={**signature, "images": self.output_dtype(inputs)})

    def output_dtype(self, inputs):
        """The dtype of the images that come out."""
        return inputs["images"].dtype

    def _augment(self, inputs):
        return {**inputs, "images": self.augment_image(inputs["images"], transformation=inputs["seed"])}

    def draw(self, seed, shape=()):
        """Numbers in [0, 1), drawn from an image's seed."""
        return tf.random.stateless_uniform(shape, self.fold(seed))

    def fold(self, seed, number=0):
        """A seed for TensorFlow's stateless functions; a number gives another."""
        folded = tf.cast(seed[:2], tf.int64)
        for more in (seed[2], self.SALT, number):
            folded = tf.random.experimental.stateless_fold_in(folded, tf.cast(more, tf.int64))
        return folded


class PillowAugmentation(SeededAugmentation):
    """Base of the layers that work on Pillow images: a subclass has `augment_picture(picture, generator)`.

    Layers in a row can share one call, without an array between them: `augment_pictures`.

    Call: as `SeededAugmentation`; images are uint8, of three channels or one.
    """

    def augment_picture(self, picture, generator):
        """The Pillow image, augmented.

        Args:
            picture: Pillow image of mode `RGB` or `L`.
            generator: `numpy.random.Generator`, of the image's seed and this layer.
        """
        raise NotImplementedError

    def augment_image(self, image, transformation, **kwargs):
        result = tf.numpy_function(
            lambda image, seed: augment_pictures(picture_of(image), seed, [self]),
            [image, transformation],
            tf.uint8,
            stateful=False,
        )
        result.set_shape(self.compute_output_shape(image.shape))
        return result

    def compute_output_shape(self, input_shape):
        return input_shape

    def generator(self, seed):
        """A NumPy generator for an image's seed."""
        return np.random.Generator(np.random.Philox(np.random.SeedSequence([*seed, self.SALT])))


def augment_pictures(picture, seed, layers):
    """A picture through several layers.

    Args:
        picture: Pillow image of mode `RGB` or `L`.
        seed: three whole numbers.
        layers: list of `PillowAugmentation`.

    Returns:
        A uint8 array of shape `(height, width, channels)`.
    """
    for layer in layers:
        picture = layer.augment_picture(picture, layer.generator(seed))
    return np.asarray(picture).reshape(picture.height, picture.width, -1)


def picture_of(image):
    """The Pillow image of a uint8 array of three channels or one."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
