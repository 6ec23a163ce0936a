"""Drawing boxes on an image: detections with class and confidence, and true objects."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_convnext.data import read_image
from keras_convnext.drawing import (
    as_rgb,
    class_colors,
    enlargement,
    label_size,
    shortened,
    text_color,
    write_label,
)
from keras_convnext.extras import require
from keras_convnext.scalars import between

if TYPE_CHECKING:
    from PIL import Image

WHITE, BLACK = (255, 255, 255), (0, 0, 0)

LEAST_SIDE = 480
"""Smaller images are enlarged until their longer side has this many pixels."""


def draw_boxes(
    image: Any,
    detections: Mapping[str, Any] | None = None,
    class_names: Sequence[str] = (),
    truth: Any = None,
    min_confidence: float = 0.0,
    colors: np.ndarray | None = None,
    path: str | Path | None = None,
) -> "Image.Image":
    """Draws the boxes of one image: detections in the colour of their class, true objects in dashes of black and white.

    Small images are enlarged by an integer factor, so that the text can be read. Boxes are cut at the image's edges.

    Args:
        image: array of shape `(height, width)` or `(height, width, channels)`, in 0..255, or the path of a file.
        detections: dict of `boxes` of shape `(count, 4)`, xyxy in pixels, `confidence` and `classes`, both of shape
            `(count,)`. Those of class -1 are padding. Defaults to None: no detections.
        class_names: the name of each class, in any script. A class without a name is written as its number.
        truth: dict, or `data.Annotation`, of `boxes` and `classes`. Defaults to None: no true objects.
        min_confidence: detections below this confidence are not drawn. Defaults to 0.
        colors: uint8 array of shape `(classes, 3)`, RGB. Defaults to None: `drawing.class_colors`.
        path: path of an image file to write; an existing one is replaced. Defaults to None: none is written.

    Returns:
        A PIL image.

    Raises:
        ValueError: the image or the boxes have another shape, or a value that is not finite.
        ModuleNotFoundError: Pillow or matplotlib, which has the font, is not installed.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.detection import draw_boxes
    >>> found = {"boxes": np.array([[8.0, 8.0, 40.0, 50.0]]), "confidence": [0.93], "classes": [1]}
    >>> draw_boxes(np.zeros((60, 80, 3)), found, ["cat", "dog"]).size
    (480, 360)
    """
    between("min_confidence", min_confidence, 0, 1)
    pixels = as_rgb(read_image(image) if isinstance(image, str | Path) else keras.ops.convert_to_numpy(image))
    found, true = _rows("detections", detections, min_confidence), _rows("truth", truth, None)
    count = max([len(class_names), *(1 + number for _, number, _ in (*found, *true))])
    palette = class_colors(count) if colors is None else np.asarray(colors)
    if len(palette) < count:
        raise ValueError(f"`colors` must have a colour for each of {count} classes. Received: {len(palette)}")
    scale = enlargement(max(pixels.shape[:2]), LEAST_SIDE)
    pictures = require("PIL.Image", extra="cli")
    picture = pictures.fromarray(pixels.repeat(scale, axis=0).repeat(scale, axis=1))
    canvas = require("PIL.ImageDraw", extra="cli").Draw(picture)
    width, size = max(2, round(max(picture.size) / 240)), max(13, round(max(picture.size) / 42))
    labels = []
    for boxes, is_truth in ((reversed(found), False), (true, True)):  # the surest detection above the others
        for box, number, confidence in boxes:
            place = _cut_box(box, scale, picture.size)
            if place is None:
                continue
            color = WHITE if is_truth else tuple(palette[number].tolist())
            _draw_frame(canvas, place, width, color, is_truth)
            name = shortened(class_names[number]) if number < len(class_names) else str(number)
            text = name if confidence is None else f"{name} {confidence:.2f}".strip()
            labels.append((confidence, place, text, color))
    taken: list[tuple] = []
    for confidence, place, text, color in sorted(labels, key=lambda label: 1 if label[0] is None else -label[0]):
        if text:
            corner = _free_corner(place, label_size(text, size), picture.size, taken, below=confidence is None)
            write_label(canvas, corner, text, size, text_color(color), color)
    if path is not None:
        picture.save(path)
    return picture


def _rows(argument, given, min_confidence):
    """`(box, class, confidence)` of each box that is no padding, the surest first; of true objects without it."""
    if given is None:
        return []
    is_dict = isinstance(given, Mapping)
    names = ("boxes", "classes") if min_confidence is None else ("boxes", "classes", "confidence")
    missing = [name for name in names if not (name in given if is_dict else hasattr(given, name))]
    if missing:
        raise ValueError(f"`{argument}` must have {', '.join(names)}. Missing: {', '.join(missing)}")
    values = [
        np.asarray(keras.ops.convert_to_numpy(given[name] if is_dict else getattr(given, name)), "float64")
        for name in names
    ]
    count = values[1].size
    boxes = values[0].reshape(0, 4) if not values[0].size else values[0]
    if boxes.shape != (count, 4) or any(value.shape != (count,) for value in values[1:]):
        raise ValueError(
            f"`{argument}` must be those of one image: `boxes` of shape (count, 4), the others (count,). Received: "
            f"{', '.join(f'{name} {value.shape}' for name, value in zip(names, values, strict=True))}"
        )
    is_real = values[1] >= 0
    wrong = is_real & ~(np.isfinite(boxes).all(axis=1) & np.all([np.isfinite(value) for value in values[1:]], axis=0))
    if wrong.any():
        raise ValueError(
            f"`{argument}` must be finite. Received: {boxes[wrong][0].tolist()} as a box, or NaN beside it"
        )
    rows = [(boxes[one], int(values[1][one]), *(value[one] for value in values[2:])) for one in np.flatnonzero(is_real)]
    if min_confidence is None:
        return [(*row, None) for row in rows]
    return sorted((row for row in rows if row[2] >= min_confidence), key=lambda row: -row[2])


def _cut_box(box, scale, size):
    """Left, top, right and bottom in whole pixels of the picture, right and bottom exclusive; None if outside of it."""
    low, high = (np.rint(np.clip(one * scale, 0, size)).astype(int).tolist() for one in (box[:2], box[2:]))
    return None if low[0] >= high[0] or low[1] >= high[1] else (*low, *high)


def _draw_frame(canvas, place, width, color, is_dashed):
    """A frame inside of the box. Dashes alternate with black, so that they show on any image."""
    left, top, right, bottom = place
    canvas.rectangle((left, top, right - 1, bottom - 1), outline=BLACK if is_dashed else color, width=width)
    if not is_dashed:
        return
    dash = 4 * width
    for start in range(left, right, 2 * dash):
        end = min(start + dash, right) - 1
        canvas.rectangle((start, top, end, min(top + width, bottom) - 1), fill=color)
        canvas.rectangle((start, max(bottom - width, top), end, bottom - 1), fill=color)
    for start in range(top, bottom, 2 * dash):
        end = min(start + dash, bottom) - 1
        canvas.rectangle((left, start, min(left + width, right) - 1, end), fill=color)
        canvas.rectangle((max(right - width, left), start, right - 1, end), fill=color)


def _free_corner(place, label, size, taken, below):
    """Where a label stands: the first place at its box that is in the picture and covers no other label.

    Of detections those at the top come first, of true objects those at the bottom.
    """
    left, top, right, bottom = place
    width, height = label
    tops = [(left, top - height), (left, top), (right - width, top - height), (right - width, top)]
    bottoms = [(left, bottom), (left, bottom - height), (right - width, bottom), (right - width, bottom - height)]
    places = [_moved_in(corner, label, size) for corner in (bottoms + tops if below else tops + bottoms)]
    corner = next((one for one in places if not any(_overlap((*one, *label), other) for other in taken)), places[0])
    taken.append((*corner, *label))
    return corner


def _moved_in(corner, label, size):
    """The corner of a label that was moved into the picture."""
    return tuple(max(0, min(start, whole - own)) for start, own, whole in zip(corner, label, size, strict=True))


def _overlap(one, other):
    """Whether two rectangles, as left, top, width and height, overlap."""
    return all(one[k] < other[k] + other[k + 2] and other[k] < one[k] + one[k + 2] for k in (0, 1))
