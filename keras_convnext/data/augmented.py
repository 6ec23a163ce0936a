"""Batches of augmented images for training, on every backend; and the same as a tf.data dataset."""

import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from keras_convnext.data.augment_workers import AugmentWorkers
from keras_convnext.data.batches import Batches
from keras_convnext.extras import require
from keras_convnext.scalars import integer, integers, number, numbers, optional

AHEAD = 3
"""How many batches are in the making."""

SLICE = 16
"""Images of a job for a process."""


class AugmentedBatches(Batches):
    """Batches of `Images` in an order drawn for each epoch, augmented, with soft labels; whole batches only.

    All that is drawn follows from the seed, the epoch and the image: the same in every run, however many workers there
    are, and also where a training goes on with a later epoch. As with `Batches`, give `fit` `shuffle=False`.

    Args:
        images: `Images`, of three channels or one.
        image_size: `(height, width)` of the results in pixels.
        augmentation: `preprocessing.Augmentation`.
        batch_size: int; no more than there are images is taken.
        label_smoothing: float in [0, 1), of the labels before they are mixed. Defaults to 0.1.
        seed: int, 0 or more. Defaults to 0.
        workers: int, processes that augment. Defaults to None: one for each core.
        mean, std: tuple of float in units of 0..1, what the model normalizes with. Default to ImageNet's for three
            channels, and to its averages for one, as the backbone's do.
        group: int, as for `Batches`. Defaults to 1.

    Item: `(pixels, labels)`, both float32: of shape `(batch, height, width, channels)`, about 0..255, and of shape
    `(batch, classes)`.

    Raises:
        ValueError: a negative seed, a label smoothing out of range, or images of neither three channels nor one.
        ModuleNotFoundError: Pillow is not installed.

    Example:

    >>> from keras_convnext.data import AugmentedBatches, load_digits
    >>> from keras_convnext.preprocessing import Augmentation
    >>> batches = AugmentedBatches(load_digits().train, (8, 8), Augmentation(), batch_size=64)
    >>> len(batches)
    22
    """

    def __init__(
        self,
        images,
        image_size,
        augmentation,
        batch_size,
        label_smoothing=0.1,
        seed=0,
        workers=None,
        mean=None,
        std=None,
        group=1,
    ):
        seed, label_smoothing = integer("seed", seed), number("label_smoothing", label_smoothing)
        image_size = integers("image_size", image_size, 1)
        mean, std = optional(numbers, "mean", mean), optional(numbers, "std", std)
        if seed < 0:
            raise ValueError(f"Expected a seed of 0 or more. Received: {seed}")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"`label_smoothing` must be from 0 up, below 1. Received: {label_smoothing}")
        channels = 3 if images.are_files else images.pixels.shape[-1]
        if channels not in (1, 3):
            raise ValueError(
                f"Expected images of three channels or one to augment. Received: {channels}, of images of shape "
                f"(height, width, channels) = {images.pixels.shape[1:]}. The recipe `from_scratch` augments nothing."
            )
        super().__init__(images, batch_size, shuffle=True, seed=seed, group=group)
        self.item_shape = (*image_size, channels)
        self._steps = augmentation.picture_steps(*image_size, channels, mean)
        self._erasing = augmentation.erasing(channels, mean, std)
        self._mixing = augmentation.mixing(label_smoothing)
        self._processes = AugmentWorkers(optional(integer, "workers", workers, 0) or self.threads)
        self._assembler = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._end = weakref.finalize(self, _end, self._processes, self._assembler)  # at the program's end, too
        self._coming = {}

    def _batch(self, index):
        wanted = [(self.epoch, number) for number in range(index, min(index + AHEAD, len(self)))]
        coming = {place: self._coming.pop(place, None) or self._begin(place[1]) for place in wanted}
        for future in self._coming.values():  # of an epoch, or a place, that was left
            future.cancel()
        self._coming = coming
        return self._coming.pop(wanted[0]).result()

    def _begin(self, index):
        """A future of a batch: its pictures are begun at once."""
        chosen = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        seeds = [(self.seed, self.epoch, int(place)) for place in chosen]
        sources = [self.images.pixels[place] for place in chosen]
        jobs = [
            (start, sources[start : start + SLICE], seeds[start : start + SLICE], self._steps, self._erasing)
            for start in range(0, len(chosen), SLICE)
        ]
        coming = [(start, self._processes.submit(*job)) for start, *job in jobs]
        return self._assembler.submit(self._assembled, coming, seeds[0], self.images.labels[chosen])

    def _assembled(self, coming, seed, labels):
        pixels = np.empty((len(labels), *self.item_shape), "float32")
        for start, job in coming:
            pictures, patches = job.result()
            pixels[start : start + len(pictures)] = pictures
            for index, top, left, patch in patches:
                height, width, _ = patch.shape
                pixels[start + index, top : top + height, left : left + width] = patch
        labels = np.eye(len(self.images.class_names), dtype="float32")[labels]
        return pixels, self._mixing.mix(pixels, labels, self._mixing.generator(seed))

    def close(self):
        """Ends the batches, and the processes; who waits for one gets an error."""
        try:
            self._end()
        finally:
            super().close()


def _end(processes, assembler):
    assembler.shutdown(wait=False, cancel_futures=True)
    processes.close()


def augmented_dataset(images, image_size, augmentation, batch_size, epochs=1, first_epoch=0, **options):
    """`AugmentedBatches` as a tf.data dataset.

    Who goes through the dataset a second time gets the same again: for more epochs give `epochs`, and
    `steps_per_epoch=len(images) // batch_size` to `fit`.

    Args:
        images, image_size, augmentation, batch_size: as for `AugmentedBatches`.
        epochs: int, how many the dataset has. Defaults to 1.
        first_epoch: int. Defaults to 0.
        **options: `label_smoothing`, `seed`, `workers`, `mean` and `std`, as for `AugmentedBatches`.

    Returns:
        `tf.data.Dataset` of `(pixels, labels)`.

    Raises:
        ValueError: fewer images than a batch; and as `AugmentedBatches`.
        ModuleNotFoundError: TensorFlow or Pillow is not installed.
    """
    tf = require("tensorflow", extra="tensorflow")
    batch_size, epochs = integer("batch_size", batch_size, 1), integer("epochs", epochs, 1)
    first_epoch = integer("first_epoch", first_epoch, 0)
    if len(images) < batch_size:
        raise ValueError(f"Expected a batch of images or more, {batch_size}. Received: {len(images)} images")

    def make():
        return AugmentedBatches(images, image_size, augmentation, batch_size, **options)

    def generate():
        batches = make()
        try:
            for epoch in range(first_epoch, first_epoch + epochs):
                batches.epoch = epoch
                yield from (batches[index] for index in range(len(batches)))
        finally:
            batches.close()

    batches = make()
    signature = (
        tf.TensorSpec((batch_size, *batches.item_shape), "float32"),
        tf.TensorSpec((batch_size, len(images.class_names)), "float32"),
    )
    dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(len(batches) * epochs)).prefetch(2)
