"""Drawing a classifier's worst mistakes: the wrongly classified images of which it is most certain."""

import warnings
from pathlib import Path

import numpy as np

from keras_convnext.data import Images, read_image
from keras_convnext.extras import require
from keras_convnext.training.confusion import shortened

COLUMNS, ROWS = 6, 4

LONGEST_SIDE = 256
"""The greatest number of pixels per side with which an image is drawn."""


def draw_mistakes(
    images: Images, predicted: np.ndarray, probabilities: np.ndarray, path: str | Path, part: str = "test"
) -> None:
    """Draws the wrongly classified images into a PNG file. Those of which the model is most certain come first.

    If there are none, it draws the images of which the model is least certain.

    Args:
        images: `data.Images`.
        predicted: int array of shape `(images,)`.
        probabilities: float array of shape `(images,)`, the model's probability of the predicted class.
        path: path of the file to write; an existing one is replaced.
        part: the name of the part to which the images belong. Defaults to `"test"`.

    Example:

    >>> import tempfile
    >>> import numpy as np
    >>> from keras_convnext.data import load_digits
    >>> from keras_convnext.training import draw_mistakes
    >>> images = load_digits().test.take(range(3))
    >>> draw_mistakes(images, (images.labels + 1) % 10, np.array([0.9, 0.6, 0.5]), tempfile.mkdtemp() + "/mistakes.png")
    """
    predicted, probabilities = np.asarray(predicted), np.asarray(probabilities)
    wrong = np.flatnonzero(images.labels != predicted)
    if len(wrong):
        shown = wrong[np.argsort(-probabilities[wrong], kind="stable")][: COLUMNS * ROWS]
        mistakes = "1 mistake" if len(wrong) == 1 else f"{len(wrong):,} mistakes"
        which = "" if len(shown) == len(wrong) else f"the {len(shown)} surest of "
        heading = f"{which}{mistakes}, of {len(images):,} {part} images"
    else:
        shown = np.argsort(probabilities, kind="stable")[: COLUMNS * ROWS]
        heading = f"no mistakes, of {len(images):,} {part} images; those that the model is the least sure of"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a class name in characters that the font lacks
        _draw(images.take(shown), predicted[shown], probabilities[shown], heading, path)


def _draw(images, predicted, probabilities, heading, path):
    """Draws all images into one axes, in cells of 1 by 1.25, which is much faster than one axes per image."""
    rows = -(-len(images) // COLUMNS)
    figure = require("matplotlib.figure", extra="cli").Figure(figsize=(12, 0.5 + 2.5 * rows))
    axes = figure.add_axes((0, 0, 1, 2.5 * rows / (0.5 + 2.5 * rows)))
    figure.suptitle(heading)
    for place, (pixels, label, other, probability) in enumerate(
        zip(images.pixels, images.labels, predicted, probabilities, strict=False)
    ):
        top, left = divmod(place, COLUMNS)
        pixels = _drawable(pixels)
        height, width = (0.45 * side / max(pixels.shape[:2]) for side in pixels.shape[:2])
        middle, centre = left + 0.5, 1.25 * top + 0.75
        axes.imshow(
            pixels, "gray", vmin=0, vmax=255, extent=(middle - width, middle + width, centre + height, centre - height)
        )
        names = [shortened(images.class_names[index]) for index in (label, other)]
        is_right = label == other
        text = f"{names[0]}\n{probability:.0%}" if is_right else f"{names[0]}\ntaken for {names[1]}, {probability:.0%}"
        color = "black" if is_right else "#a03020"
        axes.text(middle, 1.25 * top + 0.27, text, ha="center", va="bottom", fontsize=8, color=color, parse_math=False)
    axes.set(xlim=(0, COLUMNS), ylim=(1.25 * rows, 0), aspect="auto")
    axes.axis("off")
    figure.savefig(path, dpi=120)


def _drawable(pixels):
    """The image as uint8 with at most `LONGEST_SIDE` pixels per side: RGB, or the mean of other channels."""
    pixels = np.asarray(read_image(pixels))
    step = -(-max(pixels.shape[:2]) // LONGEST_SIDE)
    pixels = np.clip(np.rint(pixels[::step, ::step]), 0, 255)
    if pixels.shape[-1] != 3:
        pixels = pixels.mean(axis=-1)
    return pixels.astype("uint8")
