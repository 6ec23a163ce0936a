"""Batches of images for `fit`, `evaluate` and `predict`, on every backend."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from keras_convnext.data.images import Images, read_image
from keras_convnext.scalars import flag, integer, optional


class Batches(keras.utils.PyDataset):
    """Batches of `Images` with one-hot labels.

    A shuffled order is deterministic given (seed, epoch): equal in every run, and different in each epoch. Give `fit`
    `shuffle=False`, or Keras shuffles the batches once more. `EpochOrder` sets the epoch.

    Args:
        images: `Images`, not empty.
        batch_size: images per batch; fewer if there are fewer images.
        transform: function of an image, an array of shape `(height, width, channels)`; all results must have the same
            shape. Image files are RGB. Defaults to None: images stay as they are.
        shuffle: whether to shuffle the images in each epoch, and to leave out a last, smaller batch. Defaults to
            False.
        seed: seed of the order. Defaults to 0.
        threads: number of images of a batch that are read and transformed in parallel. Defaults to None: one per core.
            (Keras's own `workers` do not keep the order of the batches.)
        group: number of batches per update of the weights, where gradients are accumulated. If shuffled, the number of
            batches in an epoch is a multiple of it. Defaults to 1.

    Item: `(pixels, labels)` of shape `(batch, height, width, channels)`, float32 in 0..255, and `(batch, classes)`.

    Attribute `failure`: the error that the last failed item raised, or None. TensorFlow asks for items in its own
    threads, and raises another error in place of this one.

    Raises:
        ValueError: a value out of its range, or fewer images than `group` batches have.

    Example:

    >>> from keras_convnext.data import Batches, load_digits
    >>> batches = Batches(load_digits().train, batch_size=64)
    >>> pixels, labels = batches[0]
    >>> pixels.shape, labels.shape, len(batches)
    ((64, 8, 8, 1), (64, 10), 23)
    """

    def __init__(
        self,
        images: Images,
        batch_size: int,
        transform: Callable | None = None,
        shuffle: bool = False,
        seed: int = 0,
        threads: int | None = None,
        group: int = 1,
    ):
        super().__init__()
        self.images = images
        self.batch_size = min(integer("batch_size", batch_size, 1), len(images))
        self.transform = transform
        self.shuffle = flag("shuffle", shuffle)
        self.seed = integer("seed", seed, 0)
        self.group = integer("group", group, 1)
        if self.batch_size * self.group > len(images):
            raise ValueError(
                f"Expected {group} batches of {self.batch_size} images or more. Received: {len(images)} images"
            )
        self.threads = optional(integer, "threads", threads, 0) or os.cpu_count() or 1
        self.epoch = 0
        self.failure = None
        self._share = (0, 1)
        self._is_closed = False
        self._one_at_a_time = threading.Lock()

    @property
    def epoch(self) -> int:
        """The epoch, from 0, whose order is used."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch = epoch
        if self.shuffle:
            self._order = self.images.shuffled_order(self.seed, epoch)
        else:
            self._order = np.arange(len(self.images))

    def on_epoch_end(self) -> None:
        self.epoch += 1  # a plain loop over epochs; Keras calls it before the first one too

    def __len__(self):
        if self.shuffle:
            return len(self.images) // self.batch_size // self.group * self.group
        return -(-len(self.images) // self.batch_size)

    def __getitem__(self, index):
        with self._one_at_a_time:
            if self._is_closed:
                raise RuntimeError("These batches were closed and give no more items. Make new ones.")
            try:
                return self._batch(index)
            except (OSError, ValueError, RuntimeError, MemoryError) as error:
                self.failure = error
                raise

    def _batch(self, index):
        chosen = self.images.take(self._chosen(index))
        pixels = chosen.pixels
        if chosen.are_files or self.transform is not None:
            with ThreadPoolExecutor(self.threads) as pool:
                pixels = list(pool.map(self._prepared, pixels))
        labels = keras.utils.to_categorical(chosen.labels, len(chosen.class_names))
        return np.asarray(pixels, "float32"), labels.astype("float32")

    def take_share(self, index: int, count: int) -> None:
        """Makes each batch give one of several equal shares of its images, where several processes train together.

        The order of the images, and the number of batches, stay those of whole batches of `batch_size` images.

        Args:
            index: which of the shares, from 0.
            count: number of shares.

        Raises:
            ValueError: a batch cannot be divided into as many shares.
        """
        if self.batch_size % count:
            raise ValueError(f"A batch of {self.batch_size} images cannot be divided into {count} equal shares.")
        self._share = (index, count)

    def _places(self, index):
        """The indices of the images of a whole batch."""
        return self._order[index * self.batch_size : (index + 1) * self.batch_size]

    def _chosen(self, index):
        """The indices of the images of a batch: this share of them."""
        places = self._places(index)
        part, count = self._share
        size = len(places) // count
        return places if count == 1 else places[part * size : (part + 1) * size]

    def close(self) -> None:
        """Closes the batches after the one that is being prepared. Asking for another one then raises an error."""
        with self._one_at_a_time:
            self._is_closed = True

    def _prepared(self, image):
        image = read_image(image) if self.images.are_files else image
        return image if self.transform is None else self.transform(image)


class EpochOrder(keras.callbacks.Callback):
    """Sets the epoch of `Batches` to that of `fit`, also in a resumed training.

    Args:
        batches: the `Batches` that `fit` trains on.

    Example:

    >>> import keras
    >>> from keras_convnext.data import Batches, EpochOrder, load_digits
    >>> batches = Batches(load_digits().train.take(range(64)), batch_size=64, shuffle=True)
    >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    >>> model.compile("sgd", loss="mse")
    >>> history = model.fit(batches, callbacks=[EpochOrder(batches)], shuffle=False, verbose=0)
    """

    def __init__(self, batches: Batches):
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.batches.epoch = epoch
