"""What the pictures of predictions share: colours of classes, text in any script, and a grid of pictures."""

import colorsys
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_convnext.extras import require
from keras_convnext.scalars import integer

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

SHADES = ((0.85, 0.95), (0.65, 0.75), (0.95, 0.6))
"""Saturation and value of the colours, in turn."""

LONGEST_NAME = 30

PLACEHOLDERS = "Last Resort"
"""A font that comes with matplotlib and has a placeholder for every character."""

Color = tuple[int, int, int]


def class_colors(count: int) -> np.ndarray:
    """Returns a colour for each class: the hues of consecutive classes are far apart, and no colour comes twice.

    Args:
        count: number of classes.

    Returns:
        uint8 array of shape `(count, 3)`, RGB. The first ones are the same for any `count`.

    Example:

    >>> from keras_convnext.drawing import class_colors
    >>> class_colors(150).shape
    (150, 3)
    """
    golden = (5**0.5 - 1) / 2
    shades = (SHADES[number // 5 % len(SHADES)] for number in range(count))
    colors = [colorsys.hsv_to_rgb(0.6 + number * golden % 1, *shade) for number, shade in enumerate(shades)]
    return np.rint(255 * np.array(colors).reshape(count, 3)).astype("uint8")


def text_color(background: Sequence[int]) -> Color:
    """Returns black or white, whichever has the higher contrast to a background, by WCAG 2's relative luminance.

    Args:
        background: RGB in 0..255.

    Example:

    >>> from keras_convnext.drawing import text_color
    >>> text_color((255, 255, 0))
    (0, 0, 0)
    """
    share = np.asarray(background) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 0.05 * 1.05 else (255, 255, 255)


def as_rgb(pixels: Any) -> np.ndarray:
    """Returns an image as uint8 of shape `(height, width, 3)`. Other numbers of channels become their grey mean.

    Args:
        pixels: array or tensor of shape `(height, width)` or `(height, width, channels)`, in 0..255.

    Raises:
        ValueError: another shape, or a value that is not finite.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.drawing import as_rgb
    >>> as_rgb(np.full((2, 2, 1), 7.4))[0, 0].tolist()
    [7, 7, 7]
    """
    pixels = np.asarray(pixels)
    if pixels.ndim not in (2, 3) or not pixels.size:
        raise ValueError(
            f"Expected an image of shape (height, width) or (height, width, channels). Received shape: {pixels.shape}"
        )
    pixels = pixels.astype("float32")
    if not np.isfinite(pixels).all():
        raise ValueError("Expected an image of finite values in 0..255. Received: NaN or Inf")
    if pixels.ndim == 2 or pixels.shape[-1] != 3:
        grey = pixels if pixels.ndim == 2 else pixels.mean(axis=-1)
        pixels = np.repeat(grey[..., None], 3, axis=-1)
    return np.clip(np.rint(pixels), 0, 255).astype("uint8")


def enlargement(longer_side: int, least: int) -> int:
    """The integer factor by which small images are enlarged, so that text on them can be read.

    Args:
        longer_side: of the image, in pixels.
        least: pixels that it should have.
    """
    return max(1, -(-least // longer_side))


def shortened(name: Any) -> str:
    """A class name on one line, with at most `LONGEST_NAME` characters."""
    text = " ".join(str(name).split())
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"


def font_for(text: str, size: int) -> "ImageFont.FreeTypeFont":
    """Returns a font that has all characters of a text, if one is installed, and otherwise DejaVu Sans.

    Args:
        text: the text, in any script.
        size: size in pixels.
    """
    path = _font_path(frozenset(character for character in text if not character.isspace()))
    return require("PIL.ImageFont", extra="cli").truetype(path, size)


def write_label(
    canvas: "ImageDraw.ImageDraw", corner: tuple[int, int], text: str, size: int, color: Color, background: Color
) -> None:
    """Writes a text on a filled rectangle of `label_size`.

    Args:
        canvas: of `PIL.ImageDraw.Draw`.
        corner: left and top of the rectangle, in pixels.
        text: the text.
        size: size of the font in pixels.
        color: of the text.
        background: of the rectangle.
    """
    (left, top), (width, height) = corner, label_size(text, size)
    canvas.rectangle((left, top, left + width - 1, top + height - 1), fill=background)
    canvas.text((left + size // 3, top + height // 2), text, font=font_for(text, size), fill=color, anchor="lm")


def label_size(text: str, size: int) -> tuple[int, int]:
    """Width and height of the rectangle of `write_label`, in pixels.

    Args:
        text: the text.
        size: size of the font in pixels.
    """
    return round(font_for(text, size).getlength(text)) + 2 * (size // 3), round(1.4 * size)


def draw_grid(
    pictures: Sequence["Image.Image"],
    captions: Sequence[str] | None = None,
    columns: int = 4,
    cell: int = 360,
    path: str | Path | None = None,
) -> "Image.Image":
    """Draws pictures in a grid, such as those of `draw_boxes` and `draw_label_map`, row by row.

    Args:
        pictures: PIL images. Larger ones are reduced to the cells, and all keep their aspect ratio.
        captions: a text above each picture. Defaults to None: no captions.
        columns: number of columns; fewer if there are fewer pictures. Defaults to 4.
        cell: greatest width and height of a picture in pixels. Defaults to 360.
        path: path of an image file to write; an existing one is replaced. Defaults to None: none is written.

    Returns:
        A PIL image.

    Raises:
        ValueError: there are no pictures, or not one caption for each.

    Example:

    >>> from PIL import Image
    >>> from keras_convnext.drawing import draw_grid
    >>> draw_grid([Image.new("RGB", (100, 50))] * 3, columns=2, cell=100).size
    (218, 118)
    """
    image = require("PIL.Image", extra="cli")
    columns, cell = min(integer("columns", columns, 1), len(pictures)), integer("cell", cell, 1)
    if not pictures or (captions is not None and len(captions) != len(pictures)):
        raise ValueError(
            "Expected one or more pictures, and as many captions. Received: "
            f"{len(pictures)} pictures, {'no' if captions is None else len(captions)} captions"
        )
    fitted = [_fitted(picture, cell, image) for picture in pictures]
    gap, size = 6, 13
    above = round(1.6 * size) if captions is not None else 0
    width = max(one.width for one in fitted)
    rows = [fitted[start : start + columns] for start in range(0, len(fitted), columns)]
    heights = [above + max(one.height for one in row) for row in rows]
    result = image.new("RGB", (columns * (width + gap) + gap, sum(heights) + gap * (len(rows) + 1)), "white")
    canvas = require("PIL.ImageDraw", extra="cli").Draw(result)
    top = gap
    for row, (pictures_of_row, height) in enumerate(zip(rows, heights, strict=True)):
        for column, picture in enumerate(pictures_of_row):
            left = gap + column * (width + gap)
            result.paste(picture, (left + (width - picture.width) // 2, top + above))
            if captions is not None:
                text = _cut(" ".join(str(captions[row * columns + column]).split()), size, width)
                canvas.text((left + width // 2, top), text, font=font_for(text, size), fill="black", anchor="ma")
        top += height + gap
    if path is not None:
        result.save(path)
    return result


def _fitted(picture, cell, image):
    scale = min(1.0, cell / picture.width, cell / picture.height)
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    return (picture if scale == 1 else picture.resize(size, image.Resampling.LANCZOS)).convert("RGB")


def _cut(text, size, width):
    """The text, cut to a width in pixels."""
    if font_for(text, size).getlength(text) <= width:
        return text
    while text and font_for(text, size).getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


@functools.lru_cache(maxsize=1024)
def _font_path(characters):
    """The file of a font that has the characters. DejaVu Sans, which comes with matplotlib, is tried first."""
    manager = require("matplotlib.font_manager", extra="cli")
    default = manager.findfont("DejaVu Sans")
    if {ord(one) for one in characters} <= _characters(default):
        return default
    others = sorted({one.fname for one in manager.fontManager.ttflist if not one.name.startswith(PLACEHOLDERS)})
    return next((path for path in others if {ord(one) for one in characters} <= _characters(path)), default)


@functools.cache
def _characters(path):
    """The code points that a font has."""
    return frozenset(require("matplotlib.ft2font", extra="cli").FT2Font(path).get_charmap())
