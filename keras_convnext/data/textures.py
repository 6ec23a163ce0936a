"""Procedural textures: the backgrounds of generated scenes."""

import numpy as np

from keras_convnext.extras import require

GRAIN = 6.0
"""Standard deviation of the noise on every texture, in grey levels."""


def texture(height: int, width: int, random: np.random.Generator) -> np.ndarray:
    """Generates a random texture: a gradient, stripes, a chessboard or smooth noise of two colours, with fine grain.

    Args:
        height: height in pixels.
        width: width in pixels.
        random: the generator of the random numbers.

    Returns:
        A float32 array of shape `(height, width, 3)` in 0..255.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.data.textures import texture
    >>> texture(48, 64, np.random.default_rng(0)).shape
    (48, 64, 3)
    """
    first, second = random.uniform(20, 235, (2, 3)).astype("float32")
    pattern = PATTERNS[random.integers(len(PATTERNS))](height, width, random).astype("float32")
    grain = random.standard_normal((height, width), dtype="float32") * np.float32(GRAIN)
    return np.clip(first + (second - first) * pattern[..., None] + grain[..., None], 0, 255)


def _ramp(height, width, random):
    """The distance of each pixel along a random direction, in shares of the shorter side."""
    angle = random.uniform(0, 2 * np.pi)
    rows = np.arange(height, dtype="float32")[:, None] * np.sin(angle)
    columns = np.arange(width, dtype="float32") * np.cos(angle)
    return (rows + columns) / min(height, width)


def _gradient(height, width, random):
    ramp = _ramp(height, width, random)
    return (ramp - ramp.min()) / max(ramp.max() - ramp.min(), 1e-6)


def _stripes(height, width, random):
    waves = np.sin(2 * np.pi * random.uniform(2, 8) * _ramp(height, width, random))
    return np.clip(random.uniform(0.5, 4) * waves + 0.5, 0, 1)


def _chessboard(height, width, random):
    side = max(1, round(min(height, width) / random.uniform(3, 10)))
    top, left = random.integers(side, size=2)
    rows, columns = (np.arange(top, top + height) // side, np.arange(left, left + width) // side)
    return (rows[:, None] + columns) % 2


def _noise(height, width, random):
    """Smooth noise: few random values, enlarged."""
    pillow = require("PIL.Image", extra="cli")
    count = int(random.integers(3, 12))
    values = pillow.fromarray(random.random((count, count), dtype="float32"))
    return np.clip(np.asarray(values.resize((width, height), pillow.Resampling.BICUBIC)), 0, 1)


PATTERNS = (_gradient, _stripes, _chessboard, _noise)
"""Functions of a height, a width and a random generator that return an array of shape `(height, width)` in 0..1."""
