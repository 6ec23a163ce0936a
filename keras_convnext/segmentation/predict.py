"""Predicting the label map of an image of any size: of the whole image at once, or by a sliding window."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_convnext.models import returns_logits
from keras_convnext.scalars import flag, integer, optional
from keras_convnext.segmentation.resize import resize_bilinear

MODES = ("whole", "slide")


def predict(
    model: keras.Model,
    image: Any,
    mode: str = "whole",
    crop: int = 512,
    stride: int | None = None,
    shorter_side: int | None = None,
    batch_size: int = 2,
    probabilities: bool = False,
) -> np.ndarray:
    """Predicts the class of each pixel of an image.

    A sliding window is how the authors evaluate (mmsegmentation's mode `"slide"`): windows begin at multiples of the
    stride, the last ones are shifted inwards to end at the image's edge, and the logits of a pixel are averaged over
    the windows that contain it. All batches have one shape, for images of any size from `crop` on: a backend that
    compiles the model does it once.

    Args:
        model: a `UPerNet`, or another model with one output of the images' size, in its `data_format` if it has one.
        image: array of shape `(height, width, channels)`, in 0..255 unless the model was made with
            `include_preprocessing=False`.
        mode: `"whole"` or `"slide"`. Defaults to `"whole"`, which compiles the model for each new size of images.
        crop: side of the window in pixels, for `mode="slide"`. Along a side of the image that is shorter, the window
            has the image's length. Defaults to 512; the published checkpoints have 512 or 640, as their names say.
        stride: distance of neighbouring windows in pixels, from 1 to `crop`. Defaults to None, for two thirds of
            `crop`, rounded down: 341 and 426 in the authors' evaluation.
        shorter_side: the length in pixels to which the image's shorter side is resized first, bilinearly and without
            antialiasing; the logits are resized back. The authors' evaluation has that of `crop`. Defaults to None, for
            the image as it is.
        batch_size: windows per batch; the last batch is filled up. Defaults to 2.
        probabilities: whether to return the probability of each class instead. Defaults to False.

    Returns:
        int32 of shape `(height, width)`, the index of the best class; or float32 of shape `(height, width, classes)`.

    Raises:
        ValueError: the image is not an array of one image with numbers, an argument is out of its range, or the model
            takes images of another size.

    Example:

    >>> import numpy as np
    >>> from keras_convnext import ConvNeXtBackbone
    >>> from keras_convnext.segmentation import UPerNet, predict
    >>> backbone = ConvNeXtBackbone(depths=(1, 1), dims=(4, 8), level_norm=True)
    >>> model = UPerNet(backbone, num_classes=3, hidden_size=4, auxiliary_hidden_size=0)
    >>> predict(model, np.zeros((50, 70, 3), "uint8"), mode="slide", crop=40).shape
    (50, 70)
    """
    if mode not in MODES:
        raise ValueError(f"`mode` must be one of {', '.join(map(repr, MODES))}. Received: mode={mode!r}")
    crop, batch_size = integer("crop", crop, 1), integer("batch_size", batch_size, 1)
    stride = optional(integer, "stride", stride, 1) or max(1, 2 * crop // 3)
    if stride > crop:
        raise ValueError(f"`stride` must not be above `crop`. Received: stride={stride}, crop={crop}")
    shorter_side = optional(integer, "shorter_side", shorter_side, 1)
    probabilities = flag("probabilities", probabilities)
    pixels = _checked(image)
    size = pixels.shape[:2]
    if shorter_side is not None:
        pixels = _resized(pixels, tuple(round(side * shorter_side / min(size)) for side in size))
    is_whole = mode == "whole"
    _check_size(model, pixels.shape[:2] if is_whole else tuple(min(crop, side) for side in pixels.shape[:2]), mode)
    outputs = _run(model, pixels[None])[0] if is_whole else _slide(model, pixels, crop, stride, batch_size)
    outputs = _resized(outputs, size)
    if not probabilities:
        return outputs.argmax(-1).astype("int32")
    return _softmax(outputs) if returns_logits(model) else outputs


def _check_size(model, size, mode):
    """Refuses images that a model of a fixed size does not take."""
    shape = model.input_shape[1:]
    sides = shape[1:] if getattr(model, "data_format", "channels_last") == "channels_first" else shape[:2]
    if all(side in (None, given) for side, given in zip(sides, size, strict=True)):
        return
    what = "the image has" if mode == "whole" else "the windows have"
    other = f', or `mode="slide"` with `crop={sides[0]}`' if sides[0] == sides[1] else ""
    raise ValueError(
        f"The model takes images of {sides[0]} x {sides[1]} pixels (height x width), and {what} {size[0]} x {size[1]}. "
        f"Make the model with `input_shape=(None, None, 3)`{other}."
    )


def window_starts(length: int, crop: int, stride: int) -> list[int]:
    """Where the windows along one side begin: at multiples of the stride, the last one so that it ends at the edge.

    Args:
        length: length of the side in pixels.
        crop: length of a window, at most `length`.
        stride: distance of neighbouring windows.

    Example:

    >>> from keras_convnext.segmentation.predict import window_starts
    >>> window_starts(700, crop=512, stride=341)
    [0, 188]
    """
    count = -(-(length - crop) // stride) + 1
    return [min(index * stride, length - crop) for index in range(count)]


def _slide(model, pixels, crop, stride, batch_size):
    """The outputs for each pixel, averaged over the windows that contain it."""
    sides = [min(crop, length) for length in pixels.shape[:2]]
    rows, columns = (window_starts(length, side, stride) for length, side in zip(pixels.shape[:2], sides, strict=True))
    places = [(slice(row, row + sides[0]), slice(column, column + sides[1])) for row in rows for column in columns]
    total = np.zeros(())
    counts = np.zeros((*pixels.shape[:2], 1), "float32")
    for start in range(0, len(places), batch_size):
        batch = places[start : start + batch_size]
        filled = batch + batch[-1:] * (batch_size - len(batch))
        outputs = _run(model, np.stack([pixels[place] for place in filled]))
        if start == 0:
            total = np.zeros((*pixels.shape[:2], outputs.shape[-1]), "float32")
        for place, output in zip(batch, outputs, strict=False):
            total[place] += output
            counts[place] += 1
    return total / counts


def _run(model, batch):
    """The model's outputs for a batch of channels-last images, channels last, as float32."""
    channels_first = getattr(model, "data_format", "channels_last") == "channels_first"
    outputs = model.predict_on_batch(batch.transpose(0, 3, 1, 2) if channels_first else batch)
    outputs = np.asarray(outputs, "float32")
    return outputs.transpose(0, 2, 3, 1) if channels_first else outputs


def _resized(x, size):
    if x.shape[:2] == tuple(size):
        return x
    return ops.convert_to_numpy(resize_bilinear(ops.convert_to_tensor(x[None]), tuple(size)))[0]


def _softmax(logits):
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def _checked(image):
    """The image as float32."""
    pixels = np.asarray(image)
    if pixels.ndim != 3 or 0 in pixels.shape or pixels.dtype.kind not in "fiu":
        raise ValueError(
            "`image` must be an array of numbers with shape (height, width, channels). Received: shape "
            f"{pixels.shape}, dtype {pixels.dtype}"
        )
    pixels = pixels.astype("float32")
    if not np.isfinite(pixels).all():
        raise ValueError("`image` must not contain NaN or Inf.")
    return pixels
