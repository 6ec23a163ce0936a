"""The random order in which the images of an epoch are used."""

import numpy as np


def shuffled_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The indices of the images in the order of an epoch: int64 of shape `(count,)`.

    Example:

    >>> from keras_convnext.data.order import shuffled_order
    >>> shuffled_order(seed=0, epoch=1, count=5).tolist()
    [1, 4, 3, 0, 2]
    """
    return np.random.default_rng((seed, epoch)).permutation(count)


def windowed_order(seed: int, epoch: int, shards: np.ndarray, sizes: np.ndarray, window_bytes: int) -> np.ndarray:
    """A random order that reads a large data set window by window.

    The shards are shuffled, and cut into windows of at most `window_bytes`, or of one shard that is larger. The images
    of a window are shuffled together. If all images fit into one window, the order is that of `shuffled_order`.

    Args:
        seed: seed of the order.
        epoch: the epoch, from 0.
        shards: for each image, the number of its shard.
        sizes: for each image, its size in bytes.
        window_bytes: the most bytes of a window.

    Returns:
        The indices of the images: int64 of shape `(count,)`.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.data.order import windowed_order
    >>> shards, sizes = np.array([0, 0, 1, 1, 2, 2]), np.full(6, 10)
    >>> windowed_order(0, 0, shards, sizes, window_bytes=20).tolist()
    [5, 4, 1, 0, 3, 2]
    """
    if sizes.sum() <= window_bytes:
        return shuffled_order(seed, epoch, len(shards))
    random = np.random.default_rng((seed, epoch))
    bytes_of_shard = np.bincount(shards, weights=sizes)
    window_of_shard = np.empty(len(bytes_of_shard), np.min_scalar_type(len(bytes_of_shard)))
    window, filled = 0, 0.0
    for shard in random.permutation(len(bytes_of_shard)):
        if filled and filled + bytes_of_shard[shard] > window_bytes:
            window, filled = window + 1, 0.0
        filled += bytes_of_shard[shard]
        window_of_shard[shard] = window
    order = random.permutation(len(shards))
    return order[np.argsort(window_of_shard[shards[order]], kind="stable")]
