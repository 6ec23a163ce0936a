"""The classes of ADE20K's scene parsing benchmark, in the order of the published checkpoints' logits.

`ade20k.txt` has a line per class: red, green and blue of its colour, and the first of its names in the benchmark's list
objectInfo150. The colours are the benchmark's `color150`, as mmsegmentation has them (`mmseg/datasets/ade.py`); road
and skyscraper share one. In ADE20K's label files, 0 stands for pixels that are not
annotated, and class i for label i + 1.
"""

from importlib.resources import files
from typing import NamedTuple


class Ade20kClass(NamedTuple):
    """A class of ADE20K.

    Attributes:
        name: its name, such as `"wall"`.
        color: its colour as `(red, green, blue)` in 0..255.

    Example:

    >>> from keras_convnext.checkpoints import Ade20kClass
    >>> Ade20kClass("wall", (120, 120, 120)).name
    'wall'
    """

    name: str
    color: tuple[int, int, int]


def ade20k_classes() -> tuple[Ade20kClass, ...]:
    """The 150 classes of ADE20K, by the index of their logit.

    Example:

    >>> from keras_convnext.checkpoints import ade20k_classes
    >>> ade20k_classes()[2]
    Ade20kClass(name='sky', color=(6, 230, 230))
    """
    lines = (files(__package__) / "ade20k.txt").read_text().splitlines()
    rows = (line.split(" ", 3) for line in lines)
    return tuple(Ade20kClass(name, (int(red), int(green), int(blue))) for red, green, blue, name in rows)
