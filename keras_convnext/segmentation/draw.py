"""Drawing a label map over its image, with a legend."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_convnext.data import read_image
from keras_convnext.drawing import as_rgb, class_colors, enlargement, font_for, shortened
from keras_convnext.extras import require
from keras_convnext.scalars import between

if TYPE_CHECKING:
    from PIL import Image

LEAST_SIDE = 360
"""Smaller images are enlarged until their longer side has this many pixels."""


def draw_label_map(
    image: Any,
    label_map: Any,
    class_names: Sequence[str],
    palette: Any = None,
    opacity: float = 0.6,
    legend: bool = True,
    path: str | Path | None = None,
) -> "Image.Image":
    """Draws the classes of an image's pixels as colours over the image, and the names of these classes beside it.

    Pixels of another index than those of `class_names`, such as 255 for pixels that are not annotated, show the image
    as it is. Small images are enlarged by an integer factor, so that the text can be read.

    Args:
        image: array of shape `(height, width)` or `(height, width, channels)`, in 0..255, or the path of a file.
        label_map: integers of shape `(height, width)` or `(height, width, 1)`.
        class_names: the name of each class, in any script.
        palette: RGB in 0..255 of each class, of shape `(classes, 3)`. Defaults to None: `drawing.class_colors`.
        opacity: how much of the colours covers the image, in 0..1. Defaults to 0.6.
        legend: whether to write the classes at the right, with their share of the pixels. The most frequent ones come
            first; those that do not fit are counted. Defaults to True.
        path: path of an image file to write; an existing one is replaced. Defaults to None: none is written.

    Returns:
        A PIL image.

    Raises:
        ValueError: the label map has another size than the image, or `palette` has too few colours.
        ModuleNotFoundError: Pillow or matplotlib, which has the font, is not installed.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.segmentation import draw_label_map
    >>> draw_label_map(np.zeros((60, 90, 3)), np.zeros((60, 90), int), ["sky", "sea"], legend=False).size
    (360, 240)
    """
    between("opacity", opacity, 0, 1)
    pixels = as_rgb(read_image(image) if isinstance(image, str | Path) else keras.ops.convert_to_numpy(image))
    labels = np.asarray(keras.ops.convert_to_numpy(label_map))
    labels = labels[..., 0] if labels.ndim == 3 and labels.shape[-1] == 1 else labels
    if labels.shape != pixels.shape[:2] or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"`label_map` must have integers of shape {pixels.shape[:2]}, the size of the image. Received: "
            f"{labels.dtype} of shape {labels.shape}"
        )
    count = len(class_names)
    colors = class_colors(count) if palette is None else np.asarray(palette)
    if colors.shape[1:] != (3,) or len(colors) < count:
        raise ValueError(f"`palette` must have shape ({count}, 3), RGB of each class. Received shape: {colors.shape}")
    is_class = (labels >= 0) & (labels < count)
    mixed = (1 - opacity) * pixels + opacity * colors[np.where(is_class, labels, 0)]
    pixels = np.where(is_class[..., None], np.rint(mixed), pixels).astype("uint8")
    scale = enlargement(max(pixels.shape[:2]), LEAST_SIDE)
    picture = require("PIL.Image", extra="cli").fromarray(pixels.repeat(scale, axis=0).repeat(scale, axis=1))
    if legend:
        pixels_of = np.bincount(labels[is_class], minlength=count)
        picture = _with_legend(picture, class_names, colors, pixels_of, labels.size)
    if path is not None:
        picture.save(path)
    return picture


def _with_legend(picture, class_names, colors, pixels_of, total):
    """The picture with its classes in a column at the right."""
    size = max(13, round(max(picture.size) / 36))
    line, gap = round(1.6 * size), size // 2
    present = [int(number) for number in np.argsort(-pixels_of, kind="stable") if pixels_of[number]]
    rows = [(colors[number], shortened(class_names[number]), f"{pixels_of[number] / total:.0%}") for number in present]
    room = max(1, (picture.height - gap) // line)
    if len(rows) > room:
        rest = len(rows) - room + 1
        rows = [*rows[: room - 1], (None, f"{rest} more", f"{pixels_of[present[room - 1 :]].sum() / total:.0%}")]
    names = max((font_for(name, size).getlength(name) for _, name, _ in rows), default=0)
    shares = max((font_for(share, size).getlength(share) for _, _, share in rows), default=0)
    column = round(4 * gap + size + names + shares) if rows else 0
    images, draw = (require(f"PIL.{name}", extra="cli") for name in ("Image", "ImageDraw"))
    result = images.new("RGB", (picture.width + column, picture.height), "white")
    result.paste(picture, (0, 0))
    canvas = draw.Draw(result)
    left = picture.width + gap
    for place, (color, name, share) in enumerate(rows):
        top = gap // 2 + place * line
        middle = top + line // 2
        if color is not None:
            canvas.rectangle(
                (left, middle - size // 2, left + size - 1, middle - size // 2 + size - 1), fill=tuple(color.tolist())
            )
        canvas.text((left + size + gap, middle), name, font=font_for(name, size), fill="black", anchor="lm")
        canvas.text((result.width - gap, middle), share, font=font_for(share, size), fill="black", anchor="rm")
    return result
