"""Batches of augmented images for training, on every backend; and the same as a tf.data dataset."""

import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_convnext.data.augment_workers import start_workers
from keras_convnext.data.batches import Batches
from keras_convnext.data.images import Images
from keras_convnext.extras import require
from keras_convnext.preprocessing.augmentation import Augmentation, ImageFormat, augment_batch
from keras_convnext.preprocessing.augmentation.mix import smooth_labels
from keras_convnext.scalars import integer, integers, numbers, optional, rate

if TYPE_CHECKING:
    import tensorflow as tf

AHEAD = 3
"""The number of batches that are prepared in parallel, including the one that is asked for."""

SLICE = 16
"""The number of images in a job for a process."""


class AugmentedBatches(Batches):
    """Augmented batches of `Images` with soft labels, in a new random order each epoch; whole batches only.

    Order and augmentation are deterministic given (seed, epoch, index): equal in every run, with any number of workers,
    and in a training that is resumed at a later epoch. As with `Batches`, give `fit` `shuffle=False`.

    A step whose class is defined in `__main__`, such as in a notebook, runs in threads of this process. Put it into a
    module to have it run in processes, which is faster.

    Args:
        images: `Images`, of three channels or one.
        image_size: `(height, width)` of the results in pixels.
        augmentation: `preprocessing.Augmentation`.
        batch_size: images per batch; fewer if there are fewer images.
        label_smoothing: smoothing of the labels before they are mixed, in [0, 1). Defaults to 0.1.
        seed: seed of order and augmentation, 0 or more. Defaults to 0.
        workers: number of processes that augment images. Defaults to None: one per core.
        mean: what the model subtracts, one value per channel in units of 0..1. Defaults to None, as in the backbone:
            ImageNet's for three channels, their average for one.
        std: what the model divides by, one value per channel in units of 0..1. Defaults to None: chosen as for `mean`.
        group: as for `Batches`. Defaults to 1.

    Item: `(pixels, labels)`, both float32. `pixels` has the shape `(batch, height, width, channels)` and values of
    about 0..255. `labels` has the shape `(batch, classes)`.

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
        images: Images,
        image_size: tuple[int, int],
        augmentation: Augmentation,
        batch_size: int,
        label_smoothing: float = 0.1,
        seed: int = 0,
        workers: int | None = None,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
        group: int = 1,
    ):
        require("PIL", extra="cli")
        seed, label_smoothing = integer("seed", seed, 0), rate("label_smoothing", label_smoothing)
        height, width = integers("image_size", image_size, 1)
        mean, std = optional(numbers, "mean", mean), optional(numbers, "std", std)
        channels = 3 if images.are_files else images.pixels.shape[-1]
        if channels not in (1, 3):
            raise ValueError(
                f"Augmentation needs images of three channels or one. Received: {channels} channels, images of shape "
                f"(height, width, channels) = {images.pixels.shape[1:]}. Take a recipe without augmentation, such as "
                "`from_scratch`."
            )
        super().__init__(images, batch_size, shuffle=True, seed=seed, group=group)
        self.item_shape = (height, width, channels)
        self.label_smoothing = label_smoothing
        self._augmentation = augmentation.for_images(ImageFormat(*self.item_shape, mean, std))
        count = optional(integer, "workers", workers, 0) or self.threads
        self._augmenters = start_workers(count, augmentation.steps)
        self._assembler = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._end = weakref.finalize(self, _end, self._augmenters, self._assembler)  # at the program's end, too
        self._coming: dict[tuple[int, int], Future] = {}

    def _batch(self, index):
        wanted = [(self.epoch, number) for number in range(index, min(index + AHEAD, len(self)))]
        coming = {place: self._coming.pop(place, None) or self._begin(place[1]) for place in wanted}
        for future in self._coming.values():  # batches of another epoch or place, which nobody will ask for
            future.cancel()
        self._coming = coming
        return self._coming.pop(wanted[0]).result()

    def _begin(self, index):
        """A future of a batch, whose images the workers begin with at once."""
        chosen = self._chosen(index)
        seeds = [(self.seed, self.epoch, int(place)) for place in chosen]
        seed_of_batch = (self.seed, self.epoch, int(self._places(index)[0]))
        sources = [self.images.pixels[place] for place in chosen]
        steps = self._augmentation.steps_on("images"), self._augmentation.steps_on("arrays")
        coming = []
        for start in range(0, len(chosen), SLICE):
            part = slice(start, start + SLICE)
            job = self._augmenters.submit(sources[part], seeds[part], *steps, self.item_shape[:2])
            coming.append((start, job))
        return self._assembler.submit(self._assembled, coming, seed_of_batch, self.images.labels[chosen])

    def _assembled(self, coming, seed, labels):
        """The batch of the workers' results."""
        pixels = np.empty((len(labels), *self.item_shape), "float32")
        for start, job in coming:
            images, patches = job.result()
            pixels[start : start + len(images)] = images
            for index, top, left, patch in patches:
                height, width, _ = patch.shape
                pixels[start + index, top : top + height, left : left + width] = patch
        one_hot = np.zeros((len(labels), len(self.images.class_names)), "float32")
        one_hot[np.arange(len(labels)), labels] = 1
        labels = smooth_labels(one_hot, self.label_smoothing)
        return augment_batch(pixels, labels, seed, self._augmentation.steps_on("batches"))

    def take_share(self, index: int, count: int) -> None:
        if self._augmentation.steps_on("batches") and self.batch_size % (2 * count):
            raise ValueError(
                f"A batch of {self.batch_size * self.group} images, of which two and two are mixed, cannot be divided "
                f"into {count} equal shares. Give a batch size that is a multiple of {2 * count * self.group}."
            )
        super().take_share(index, count)

    def _chosen(self, index):
        """A share that is mixed has an equal part of both halves of the batch: images are mixed with the reverse."""
        part, count = self._share
        if count == 1 or not self._augmentation.steps_on("batches"):
            return super()._chosen(index)
        places = self._places(index)
        size = len(places) // (2 * count)
        first = slice(part * size, (part + 1) * size)
        return np.concatenate([places[first], places[::-1][first][::-1]])

    def close(self) -> None:
        """Ends the workers. Waiting for a batch then raises an error."""
        try:
            self._end()
        finally:
            super().close()


def _end(workers, assembler):
    assembler.shutdown(wait=False, cancel_futures=True)
    workers.close()


def augmented_dataset(
    images: Images,
    image_size: tuple[int, int],
    augmentation: Augmentation,
    batch_size: int,
    epochs: int = 1,
    first_epoch: int = 0,
    **options: Any,
) -> "tf.data.Dataset":
    """`AugmentedBatches` as a tf.data dataset.

    Iterating over the dataset a second time gives the same batches again. To train for several epochs, set `epochs`
    here, and give `fit` `steps_per_epoch=len(images) // batch_size`.

    Args:
        images: as for `AugmentedBatches`.
        image_size: as for `AugmentedBatches`.
        augmentation: as for `AugmentedBatches`.
        batch_size: images per batch.
        epochs: how many epochs the dataset has. Defaults to 1.
        first_epoch: number of the first epoch. Defaults to 0.
        **options: `label_smoothing`, `seed`, `workers`, `mean` and `std`, as for `AugmentedBatches`.

    Returns:
        `tf.data.Dataset` of `(pixels, labels)`.

    Raises:
        ValueError: there are fewer images than a batch has; and as for `AugmentedBatches`.
        ModuleNotFoundError: TensorFlow or Pillow is not installed.

    Example:

    >>> from keras_convnext.data import augmented_dataset, load_digits
    >>> from keras_convnext.preprocessing import Augmentation
    >>> dataset = augmented_dataset(load_digits().train, (8, 8), Augmentation(), batch_size=64, epochs=2)
    >>> len(dataset), dataset.element_spec[0].shape
    (44, TensorShape([64, 8, 8, 1]))
    """
    tf = require("tensorflow", extra="tensorflow")
    batch_size, epochs = integer("batch_size", batch_size, 1), integer("epochs", epochs, 1)
    first_epoch = integer("first_epoch", first_epoch, 0)
    if len(images) < batch_size:
        raise ValueError(
            f"The dataset needs at least one batch of {batch_size} images. Received: {len(images)} images. Take a "
            "smaller `batch_size`."
        )

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
