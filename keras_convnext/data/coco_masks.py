"""COCO's segmentations, polygons and run-length encodings (RLE): checked when loaded, decoded when asked for.

Source: T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", arXiv:1405.0312, and the format of its files,
https://cocodataset.org/#format-data.
"""

from dataclasses import dataclass

import numpy as np

from keras_convnext.extras import require

FEWEST_NUMBERS = 6
"""The numbers of the smallest polygon: x and y of three points."""


def compact(segmentation):
    """A segmentation as JSON has it, with each list of numbers as an array, which takes a tenth of the memory.

    Args:
        segmentation: list of polygons, each a list of numbers `x, y, x, y ...`; or a dict of an RLE. What is neither
            stays as it is, for `problem_of`.
    """
    try:
        if isinstance(segmentation, list):
            return [np.array(polygon, "float64") for polygon in segmentation]
        if isinstance(segmentation, dict) and isinstance(segmentation.get("counts"), list):
            return {**segmentation, "counts": np.array(segmentation["counts"], "float64")}
    except (TypeError, ValueError):  # not numbers
        pass
    return segmentation


def problem_of(segmentation, height, width):
    """What is wrong with a segmentation from `compact`, for an image of this size; None if nothing is."""
    if isinstance(segmentation, dict):
        return _problem_of_rle(segmentation, height, width)
    if not isinstance(segmentation, list):
        return f"expected polygons or an RLE, got a {type(segmentation).__name__}"
    for polygon in segmentation:
        is_array = isinstance(polygon, np.ndarray) and polygon.ndim == 1 and np.isfinite(polygon).all()
        if not is_array or len(polygon) < FEWEST_NUMBERS or len(polygon) % 2:
            return "expected a polygon of three points or more, x and y of each, got another list"
    return None


def _problem_of_rle(rle, height, width):
    counts = rle.get("counts")
    if list(rle.get("size") or ()) != [height, width]:
        return f"expected an RLE of size [{height}, {width}], that of the image, got {rle.get('size')!r}"
    if isinstance(counts, str) and counts:
        return None
    if not isinstance(counts, np.ndarray) or counts.ndim != 1:
        return "expected the counts of an RLE, a list of integers or a string"
    if not ((counts >= 0) & (counts == np.floor(counts))).all() or counts.sum() != height * width:
        return f"expected counts of an RLE whose sum is {height * width}, got {counts.sum():g}"
    return None


@dataclass(frozen=True, eq=False)
class CocoMasks:
    """Decodes the segmentations of an image with pycocotools when it is called.

    Args:
        segmentations: a segmentation from `compact` per object.
        height: the image's height in pixels.
        width: the image's width in pixels.
        name: the image's name, for errors.

    Call: takes no arguments. Returns a boolean array of shape `(objects, height, width)`.

    Raises:
        ModuleNotFoundError: pycocotools is not installed.
        ValueError: an RLE that pycocotools cannot decode.
    """

    segmentations: tuple
    height: int
    width: int
    name: str

    def __call__(self):
        masks = np.zeros((len(self.segmentations), self.height, self.width), bool)
        for mask, segmentation in zip(masks, self.segmentations, strict=True):
            mask[:] = self._decoded(segmentation)
        return masks

    def _decoded(self, segmentation):
        coco = require("pycocotools.mask", extra="coco")
        if isinstance(segmentation, list):
            return coco.decode(coco.merge(coco.frPyObjects(segmentation, self.height, self.width)))
        if isinstance(segmentation["counts"], str):
            rle = {"size": segmentation["size"], "counts": segmentation["counts"].encode()}
        else:
            counts = segmentation["counts"].astype("int64").tolist()
            rle = coco.frPyObjects({**segmentation, "counts": counts}, self.height, self.width)
        try:
            return coco.decode(rle)
        except ValueError as error:
            raise ValueError(f"{self.name}: a mask's RLE cannot be decoded ({error})") from error
