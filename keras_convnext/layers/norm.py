"""The norms that a ConvNeXt may have, by name."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_convnext.layers.layer_norm import LayerNorm
from keras_convnext.layers.rms_norm import RmsNorm
from keras_convnext.layers.simple_norm import SimpleNorm

NORMS = {"layer_norm": LayerNorm, "rms_norm": RmsNorm, "simple_norm": SimpleNorm}
"""Of the blocks, the stem and the downsampling layers."""

MODEL_NORMS = {**NORMS, "layer_norm": keras.layers.LayerNormalization}
"""Of a model's own norms, such as that of the head. A `.keras` file has such a layer under its class's name: LayerNorm,
which computes the same, would not find its weights in the files of earlier versions."""


def make_norm(norm: str, epsilon: float, norms: Mapping[str, type] = NORMS, **kwargs: Any) -> keras.layers.Layer:
    """A new norm over the channels.

    Args:
        norm: `"layer_norm"`, `"rms_norm"` or `"simple_norm"`.
        epsilon: keeps the division finite.
        norms: the table to look it up in, `NORMS` or `MODEL_NORMS`. Defaults to `NORMS`.
        **kwargs: as `keras.layers.Layer`.

    Raises:
        ValueError: an unknown name.

    Example:

    >>> from keras_convnext.layers.norm import make_norm
    >>> make_norm("rms_norm", epsilon=1e-6).epsilon
    1e-06
    """
    if norm not in norms:
        raise ValueError(f"`norm` must be one of {', '.join(norms)}. Received: norm={norm!r}")
    return norms[norm](epsilon=epsilon, **kwargs)
