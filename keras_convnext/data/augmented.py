"""Batches of augmented images for training, as a tf.data dataset, whichever backend computes."""

import numpy as np

from keras_convnext.data.images import read_image
from keras_convnext.extras import require


def augmented_dataset(
    images, image_size, augmentation, batch_size, epochs=1, first_epoch=0, seed=0, workers=2, mean=None, std=None
):
    """Batches of `Images` in an order drawn for each epoch, augmented, with soft labels; whole batches only.

    All that is drawn follows from the seed, the epoch and the image: the same in every run, however many workers there
    are, and also where a training goes on with a later epoch. Who goes through the dataset a second time gets the same
    again: for more epochs give `epochs`, and `steps_per_epoch=len(images) // batch_size` to `fit`.

    Args:
        images: `Images`, at least `batch_size` of them.
        image_size: `(height, width)` of the results in pixels.
        augmentation: `preprocessing.Augmentation`.
        batch_size: int.
        epochs: int, how many the dataset has. Defaults to 1.
        first_epoch: int. Defaults to 0.
        seed: int. Defaults to 0.
        workers: int, how many images are augmented at a time. Defaults to 2.
        mean, std: tuple of float in units of 0..1, what the model normalizes with. Default to ImageNet's for three
            channels, and to its averages for one, as the backbone's do.

    Returns:
        `tf.data.Dataset` of `(pixels, labels)`, both float32: of shape `(batch, height, width, channels)`, about
        0..255, and of shape `(batch, classes)`.

    Raises:
        ValueError: fewer images than a batch, a negative seed, or images of neither three channels nor one.
        ModuleNotFoundError: keras-cv or TensorFlow is not installed.
    """
    require("keras_cv", extra="cv")
    tf = require("tensorflow", extra="cv")
    from keras_convnext.preprocessing.augmentation import augment_pictures, picture_of

    steps = len(images) // batch_size
    if steps == 0:
        raise ValueError(f"Expected a batch of images or more, {batch_size}. Received: {len(images)} images")
    if seed < 0:
        raise ValueError(f"Expected a seed of 0 or more. Received: {seed}")
    channels = 3 if images.are_files else images.pixels.shape[-1]
    if channels not in (1, 3):
        raise ValueError(f"Expected images of three channels or one. Received: {channels}")
    on_pictures, on_tensors = _parts(augmentation.image_layers(*image_size, channels, mean, std))
    mix = augmentation.batch_layer()
    labels = tf.constant(images.labels, tf.int32)

    def read(place):
        image = images.pixels[place[2]]
        pixels = read_image(image) if images.are_files else as_bytes(image)
        return augment_pictures(picture_of(pixels), place, on_pictures)

    def order(epoch):
        drawn = tf.numpy_function(lambda epoch: _order(len(images), seed, epoch), [epoch], tf.int64, stateful=False)
        places = tf.data.Dataset.from_tensor_slices(tf.ensure_shape(drawn, (len(images),)))
        return places.map(lambda place: tf.stack([tf.constant(seed, tf.int64), epoch, place]))

    def augmented(place):
        pixels = tf.numpy_function(read, [place], tf.uint8, stateful=False)
        pixels.set_shape((*image_size, channels))
        example = {"images": pixels, "labels": tf.one_hot(labels[place[2]], len(images.class_names)), "seed": place}
        for layer in on_tensors:
            example = layer(example)
        return example

    def batches(epoch):
        examples = order(epoch).map(augmented, num_parallel_calls=workers)
        examples = examples.prefetch(batch_size)  # or the workers would wait while a batch is mixed
        return examples.batch(batch_size, drop_remainder=True).map(mix)

    dataset = tf.data.Dataset.range(first_epoch, first_epoch + epochs).flat_map(batches)
    dataset = dataset.map(lambda batch: (tf.cast(batch["images"], tf.float32), batch["labels"]))
    return dataset.apply(tf.data.experimental.assert_cardinality(steps * epochs)).prefetch(2)


def _order(count, seed, epoch):
    return np.random.default_rng((seed, int(epoch))).permutation(count).astype("int64")


def as_bytes(image):
    """An array with numbers in 0..255 as whole ones of 8 bits, rounded."""
    return image if image.dtype == np.uint8 else np.clip(np.rint(image), 0, 255).astype("uint8")


def _parts(layers):
    """The layers that begin and work on Pillow images, which share a call for each image; and those that follow."""
    from keras_convnext.preprocessing.augmentation import PillowAugmentation

    count = next((i for i, layer in enumerate(layers) if not isinstance(layer, PillowAugmentation)), len(layers))
    return layers[:count], layers[count:]
