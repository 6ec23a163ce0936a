"""One pass over batches of inputs and truth, whatever makes them."""

from collections.abc import Iterator
from typing import Any

import keras


def batch_items(batches: Any) -> Iterator[tuple[Any, Any]]:
    """Gives the inputs and the truth of each batch once.

    Args:
        batches: a `PyDataset`, over which a plain loop would not end, or another iterable. Items are
            `(inputs, truth)`, or these two and sample weights.

    Raises:
        ValueError: an item has another form.

    Example:

    >>> from keras_convnext.data import Batches, load_digits
    >>> from keras_convnext.data.items import batch_items
    >>> batches = Batches(load_digits().test.take(range(5)), batch_size=2)
    >>> [len(labels) for _, labels in batch_items(batches)]
    [2, 2, 1]
    """
    is_indexed = isinstance(batches, keras.utils.PyDataset)
    for item in (batches[index] for index in range(len(batches))) if is_indexed else batches:
        if not isinstance(item, list | tuple) or len(item) not in (2, 3):
            raise ValueError(f"`batches` must have items of inputs and truth. Received: {type(item).__name__}")
        yield item[0], item[1]
