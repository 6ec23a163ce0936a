"""Batches of images for `fit`, `evaluate` and `predict`, on every backend."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from keras_convnext.data.images import read_image
from keras_convnext.scalars import flag, integer, optional


class Batches(keras.utils.PyDataset):
    """Batches of `Images` with one-hot labels.

    Where the order is drawn, it is drawn from `(seed, epoch)`: the same in every run, and another one each epoch. Give
    `fit` `shuffle=False`, or Keras draws the order of the batches once more, by itself; `EpochOrder` sets the epoch.

    Args:
        images: `Images`, not empty.
        batch_size: int; no more than there are images is taken.
        transform: called on each image, an array of shape `(height, width, channels)`; all results must have one
            shape. Image files are RGB. Defaults to None: images stay as they are.
        shuffle: bool, draw the order anew each epoch and leave out the last, smaller batch. Defaults to False.
        seed: int. Defaults to 0.
        threads: int, how many images of a batch are read and transformed at a time. Defaults to None: one for each
            core. (Keras's own `workers` do not keep the order of the batches.)
        group: int; where the order is drawn, an epoch has a multiple of so many batches: as many as make an update
            where gradients are accumulated. Defaults to 1.

    Item: `(pixels, labels)` of shape `(batch, height, width, channels)`, float32 in 0..255, and `(batch, classes)`.
    """

    def __init__(self, images, batch_size, transform=None, shuffle=False, seed=0, threads=None, group=1):
        super().__init__()
        self.images = images
        self.batch_size = min(integer("batch_size", batch_size, 1), len(images))
        self.transform = transform
        self.shuffle = flag("shuffle", shuffle)
        self.seed = integer("seed", seed, 0)
        self.group = integer("group", group, 1)
        if self.batch_size * self.group > len(images):
            raise ValueError(f"Expected {group} batches of {self.batch_size} images or more. Received: {len(images)}")
        self.threads = optional(integer, "threads", threads, 0) or os.cpu_count() or 1
        self.epoch = 0
        self._is_closed = False
        self._one_at_a_time = threading.Lock()

    @property
    def epoch(self):
        """The epoch whose order is in use, from 0."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch):
        self._epoch = epoch
        count = len(self.images)
        self._order = np.random.default_rng((self.seed, epoch)).permutation(count) if self.shuffle else np.arange(count)

    def on_epoch_end(self):
        self.epoch += 1  # a plain loop over epochs; Keras calls it before the first one too

    def __len__(self):
        if self.shuffle:
            return len(self.images) // self.batch_size // self.group * self.group
        return -(-len(self.images) // self.batch_size)

    def __getitem__(self, index):
        with self._one_at_a_time:
            if self._is_closed:
                raise RuntimeError("These batches were closed and give no more items. Make new ones.")
            return self._batch(index)

    def _batch(self, index):
        chosen = self.images.take(self._order[index * self.batch_size : (index + 1) * self.batch_size])
        pixels = chosen.pixels
        if chosen.are_files or self.transform is not None:
            with ThreadPoolExecutor(self.threads) as pool:
                pixels = list(pool.map(self._prepared, pixels))
        labels = keras.utils.to_categorical(chosen.labels, len(chosen.class_names))
        return np.asarray(pixels, "float32"), labels.astype("float32")

    def close(self):
        """Ends the batches: a thread that asks for one gets an error from now on. Waits for one in the making."""
        with self._one_at_a_time:
            self._is_closed = True

    def _prepared(self, image):
        image = read_image(image) if self.images.are_files else image
        return image if self.transform is None else self.transform(image)


class EpochOrder(keras.callbacks.Callback):
    """Has `Batches` draw the order of the epoch that `fit` is in, from its number: in a resumed training too.

    Args:
        batches: the `Batches` that `fit` trains on.
    """

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.epoch = epoch
