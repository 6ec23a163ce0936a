"""The classes of ImageNet-1k, in the order of the published checkpoints' logits.

`imagenet1k.txt` has a line per class: its WordNet id, and the first of its names in WordNet 3.0. If two classes share
that name, brackets tell them apart. The lines are in the order of the ids.
"""

from importlib.resources import files
from typing import NamedTuple


class ImageNetClass(NamedTuple):
    """A class: its WordNet id, such as `n01440764`, and its name, such as `tench`."""

    id: str
    name: str


def imagenet_classes() -> tuple[ImageNetClass, ...]:
    """The 1000 classes of ImageNet-1k, by the index of their logit.

    Example:

    >>> from keras_convnext.checkpoints import imagenet_classes
    >>> imagenet_classes()[281]
    ImageNetClass(id='n02123045', name='tabby')
    """
    lines = (files(__package__) / "imagenet1k.txt").read_text().splitlines()
    return tuple(ImageNetClass(*line.split(" ", 1)) for line in lines)
