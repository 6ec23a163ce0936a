"""Scenes: cut-outs of objects pasted onto textures at random places, with exact boxes and masks."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from keras_convnext.data.annotated_images import AnnotatedImages, Annotation
from keras_convnext.data.masks import mask_boxes
from keras_convnext.data.textures import texture
from keras_convnext.extras import require
from keras_convnext.scalars import integer, integers, interval, plain

if TYPE_CHECKING:
    from PIL.Image import Image

OPAQUE = 128
"""The least opacity, of 255, of a pixel that belongs to an object. Others are not painted."""

VISIBLE = 0.9
"""The least share of an object's pixels that later objects leave visible."""

TRIES = 10
"""How many random places are tried for an object before it is left out."""

LARGEST_ANGLE = 15.0
"""The greatest rotation of an object, in degrees to both sides."""

PARTS = ("train", "validation", "test")
"""Each part has its own random numbers, which its place in this tuple seeds."""

SHARE_OF_PART = {"train": 1, "validation": 10, "test": 5}
"""By what the number of training scenes is divided for each part."""

Cutouts = Callable[[float, np.random.Generator], tuple["Image", int]]
"""Samples an object: a function of the texture's mean grey level and a random generator that returns a PIL image, of
mode RGBA and any size, without a transparent border; and its class."""


def make_scenes(
    cutouts: Cutouts,
    class_names: tuple[str, ...],
    part: str,
    count: int,
    size: tuple[int, int],
    seed: int,
    objects: tuple[int, int],
    object_size: tuple[float, float],
) -> AnnotatedImages:
    """Generates the scenes of one part. Each is deterministic given (seed, part, index).

    Args:
        cutouts: samples an object, see `Cutouts`.
        class_names: the names of the classes.
        part: `"train"`, `"validation"` or `"test"`.
        count: number of scenes.
        size: `(height, width)` in pixels.
        seed: 0 or more.
        objects: the least and the largest number of objects in a scene. Objects that find no place are left out.
        object_size: the least and the greatest longer side of an object, as a share of the shorter side of the scene.

    Returns:
        `AnnotatedImages` with masks. A box surrounds the visible pixels of its object.
    """
    pixels = np.empty((count, *size, 3), "uint8")
    annotations = []
    for index in range(count):
        random = np.random.default_rng((seed, PARTS.index(part), index))
        scene = _Scene(*size, random)
        for _ in range(random.integers(objects[0], objects[1] + 1)):
            scene.paste(cutouts, object_size)
        pixels[index] = np.rint(scene.pixels)
        annotations.append(scene.annotation())
    return AnnotatedImages(pixels, tuple(annotations), class_names)


class _Scene:
    def __init__(self, height, width, random):
        self.random = random
        self.pixels = texture(height, width, random)
        self.brightness = float(self.pixels.mean())
        self.objects = np.zeros((height, width), "uint8")  # the number of the object that is visible, from 1
        self.areas, self.classes = [], []

    def paste(self, cutouts, object_size):
        """Pastes a sampled object at a random place where it hides no other one too much, if one is found."""
        image, of_class = cutouts(self.brightness, self.random)
        longer_side = self.random.uniform(*object_size) * min(self.pixels.shape[:2])
        cutout = _turned_and_resized(image, longer_side, self.random.uniform(-LARGEST_ANGLE, LARGEST_ANGLE))
        mask = cutout[..., 3] >= OPAQUE
        if not mask.any():
            return
        height, width = mask.shape
        for _ in range(TRIES):
            top = self.random.integers(self.pixels.shape[0] - height + 1)
            left = self.random.integers(self.pixels.shape[1] - width + 1)
            place = slice(top, top + height), slice(left, left + width)
            if self._stay_visible(place, mask):
                break
        else:
            return
        opacity = (cutout[..., 3] * mask)[..., None].astype("float32") / 255  # nothing is painted beside the mask
        self.pixels[place] += opacity * (cutout[..., :3] - self.pixels[place])
        self.areas.append(mask.sum())
        self.classes.append(of_class)
        self.objects[place][mask] = len(self.areas)

    def _stay_visible(self, place, mask):
        """Whether the objects before stay visible enough if another one is pasted there."""
        hidden = np.bincount(self.objects[place][mask], minlength=len(self.areas) + 1)[1:]
        visible = np.bincount(self.objects.reshape(-1), minlength=len(self.areas) + 1)[1:] if hidden.any() else hidden
        return not hidden.any() or bool((visible - hidden >= VISIBLE * np.array(self.areas)).all())

    def annotation(self):
        if not self.classes:
            return Annotation(masks=partial(_masks, self.objects, 0))
        boxes = mask_boxes(_masks(self.objects, len(self.classes)))
        return Annotation(boxes, self.classes, partial(_masks, self.objects, len(self.classes)))


def _masks(objects, count):
    """The masks of a map of the visible objects, whose numbers are from 1 to `count`."""
    return objects == np.arange(1, count + 1, dtype="uint8")[:, None, None]


def _turned_and_resized(image, longer_side, angle):
    """A cut-out as an array of shape `(height, width, 4)`, rotated, whose longer side has this length in pixels."""
    pillow = require("PIL.Image", extra="cli")
    scale = longer_side / max(image.size)
    resized = image.resize([max(1, round(scale * side)) for side in image.size], pillow.Resampling.BICUBIC)
    turned = resized.rotate(angle, pillow.Resampling.BICUBIC, expand=True)
    if max(turned.size) > longer_side:
        scale = int(longer_side) / max(turned.size)
        turned = turned.resize([max(1, int(scale * side)) for side in turned.size], pillow.Resampling.BICUBIC)
    return np.asarray(turned)


def scene_settings(
    count: int, size: int | Sequence[int], seed: int, objects: Sequence[int], object_size: Sequence[float]
) -> dict:
    """Checks the settings of scenes, and returns those that `make_scenes` takes, but for `count`.

    Raises:
        ValueError: a value out of its range.
    """
    integer("count", count, 1)
    found = integers("size", size if isinstance(plain(size), (list, tuple)) else (size, size), 16)
    if len(found) != 2:
        raise ValueError(f"`size` must be the side of a square or (height, width), in pixels. Received: size={size!r}")
    least_most = integers("objects", objects, 0)
    if len(least_most) != 2 or not least_most[0] <= least_most[1] <= 255:
        raise ValueError(f"Expected the least and the largest number of objects, 0 to 255. Received: {objects!r}")
    return {
        "size": found,
        "seed": integer("seed", seed, 0),
        "objects": least_most,
        "object_size": interval("object_size", object_size, most=1),
    }


def count_of(part: str, count: int) -> int:
    """The number of scenes of a part for `count` training scenes: a tenth for validation and a fifth for testing."""
    return max(1, count // SHARE_OF_PART[part])
