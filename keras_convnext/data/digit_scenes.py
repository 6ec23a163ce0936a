"""The bundled set for detection and segmentation: digits scattered over textures."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_convnext.data.digits import load_digits
from keras_convnext.data.images import ImageData
from keras_convnext.data.masks import check_target, for_target
from keras_convnext.data.scenes import count_of, make_scenes, scene_settings
from keras_convnext.data.split import with_validation
from keras_convnext.extras import require

INK = (0.25, 0.55)
"""Grey levels of the enlarged digits, in 0..1, at which a pixel is transparent and at which it is opaque."""

CONTRAST = 80
"""The least difference in brightness between a digit and the mean of the texture, in grey levels."""

COUNTS = {"boxes": 8000, "label_map": 15_000}
"""The default number of training scenes for each target. Generating a scene takes far less time than training on it, so
new scenes are better than more epochs: UPerNet overfits 4000 label maps."""

ENLARGED = 6
"""How many times the 8x8 digits are enlarged before they get their size."""


def digit_scenes(
    count: int | None = None,
    size: int | Sequence[int] = 96,
    seed: int = 0,
    digits: Sequence[int] = (1, 3),
    digit_size: Sequence[float] = (0.35, 0.5),
    target: str = "boxes",
) -> ImageData:
    """Generates images with scattered digits, and their exact boxes and masks.

    The bundled digits (see `load_digits`) are coloured, resized, slightly rotated, and pasted onto textures. The digits
    of the three parts are different ones: the scenes of the test part have the bundled test images, and a tenth of the
    training images are in the validation part alone. Scenes are deterministic given (seed, part, index): a larger
    `count` adds scenes to the same ones. Boxes and masks are of the pixels that are visible.

    Args:
        count: number of training scenes. There are a tenth as many for validation and a fifth as many for testing, and
            at least one. Defaults to 8000 for boxes and 15,000 for label maps.
        size: side of the images in pixels, or `(height, width)`, 16 or more. Defaults to 96.
        seed: 0 or more. Defaults to 0.
        digits: the least and the largest number of digits in an image. Those that find no place without hiding
            another one are left out. Defaults to `(1, 3)`.
        digit_size: the least and the greatest longer side of a digit, as a share of the image's shorter side, in
            (0, 1]. Defaults to `(0.35, 0.5)`: in images of 96 pixels, large enough for RetinaNet's smallest anchors.
        target: `"boxes"`, ten classes of boxes with masks, for detection; or `"label_map"`, the same scenes as
            `as_segmentation` returns them, with the background as class 0. Defaults to `"boxes"`.

    Returns:
        `ImageData` of `AnnotatedImages`, whose pixels are uint8 arrays of shape `(count, height, width, 3)`.

    Raises:
        ValueError: a value out of its range.

    Example:

    >>> from keras_convnext.data import digit_scenes
    >>> data = digit_scenes(count=10, size=(64, 96))
    >>> data.train.pixels.shape, len(data.test), data.class_names[:2]
    ((10, 64, 96, 3), 2, ('0', '1'))
    """
    count = COUNTS[check_target(target)] if count is None else count
    settings = scene_settings(count, size, seed, digits, digit_size)
    data = with_validation(load_digits())
    parts: dict[str, Any] = {}
    for part in ("train", "validation", "test"):
        sampler = DigitCutouts(getattr(data, part))
        parts[part] = make_scenes(sampler, data.class_names, part, count_of(part, count), **settings)
    return for_target(ImageData(**parts), target)


class DigitCutouts:
    """Samples digits as cut-outs of one colour. See `scenes.Cutouts`.

    Args:
        images: `Images` of digits.
    """

    def __init__(self, images):
        self.images = images
        self.outlines = [_outline(image[..., 0]) for image in images.pixels]

    def __call__(self, brightness, random):
        index = int(random.integers(len(self.outlines)))
        outline = self.outlines[index]
        colour = random.uniform(0, 255, 3)
        if abs(colour.mean() - brightness) < CONTRAST:
            away = brightness + CONTRAST if brightness < 128 else brightness - CONTRAST
            colour = np.clip(colour + away - colour.mean(), 0, 255)
        pixels = np.empty((*outline.shape, 4), "uint8")
        pixels[..., :3] = colour
        pixels[..., 3] = outline
        return require("PIL.Image", extra="cli").fromarray(pixels), int(self.images.labels[index])


def _outline(digit):
    """The opacity of an enlarged digit, a uint8 array without a transparent border."""
    pillow = require("PIL.Image", extra="cli")
    image = pillow.fromarray(np.pad(digit.astype("float32") / 255, 1))
    grey = np.asarray(image.resize([ENLARGED * side for side in image.size], pillow.Resampling.BICUBIC))
    opacity = np.rint(255 * np.clip((grey - INK[0]) / (INK[1] - INK[0]), 0, 1)).astype("uint8")
    rows, columns = (np.flatnonzero(opacity.any(axis=axis)) for axis in (1, 0))
    return opacity[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
