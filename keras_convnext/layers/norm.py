"""The norms that a ConvNeXt may have, by name."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_convnext.layers.layer_norm import LayerNorm
from keras_convnext.layers.rms_norm import RmsNorm
from keras_convnext.layers.simple_norm import SimpleNorm

NORMS = {"layer_norm": LayerNorm, "rms_norm": RmsNorm, "simple_norm": SimpleNorm}
"""The norms of the blocks, the stem and the downsampling layers."""

MODEL_NORMS = {**NORMS, "layer_norm": keras.layers.LayerNormalization}
"""The norms that are layers of the model itself, such as that of the head. A `.keras` file stores such a layer under
its class name: `LayerNorm` computes the same, but would not find its weights in files of earlier versions."""


def make_norm(norm: str, epsilon: float, norms: Mapping[str, type] = NORMS, **kwargs: Any) -> keras.layers.Layer:
    """A new norm over the channels.

    Args:
        norm: `"layer_norm"`, `"rms_norm"` or `"simple_norm"`.
        epsilon: keeps the division finite.
        norms: the table to look the name up in, `NORMS` or `MODEL_NORMS`. Defaults to `NORMS`.
        **kwargs: as for `keras.layers.Layer`, such as `name` and `dtype`.

    Raises:
        ValueError: `norm` is unknown.

    Example:

    >>> from keras_convnext.layers.norm import make_norm
    >>> make_norm("rms_norm", epsilon=1e-6).epsilon
    1e-06
    """
    if norm not in norms:
        raise ValueError(f"`norm` must be one of {', '.join(norms)}. Received: norm={norm!r}")
    return norms[norm](epsilon=epsilon, **kwargs)
