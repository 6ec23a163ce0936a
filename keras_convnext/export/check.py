"""Comparing an exported file in its runtime with the Keras model, on photographs and random images."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from keras_convnext.data import read_image
from keras_convnext.models.image_input import image_axes

TOLERANCES = {"float32": 1e-4, "float16": 1e-2}
"""The largest difference, relative to the largest value of an output, by the precision of the file."""

ROUNDING = 1e-2
"""The tolerance with preprocessing: resized pixels are rounded, and a runtime may round a half to the other side."""

PHOTOGRAPHS = Path(__file__).with_name("photographs")

FREE_SIZES = ((128, 128), (160, 96))
"""The sizes at which a model of free sizes is checked. 96 is three strides of 32."""


class ExportError(RuntimeError):
    """The exported model could not be written, does not load in its runtime, or computes something else.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.export import ExportError
    >>> from keras_convnext.export.check import largest_difference
    >>> try:
    ...     largest_difference({"logits": np.ones(3)}, {"logits": np.array([1, 1, np.nan])})
    ... except ExportError as error:
    ...     print(error)
    The file's logits have values that are NaN or Inf; the model's have none.
    """


def check_batches(
    shape: tuple, dtype: str, channels_first: bool = False, image_size: tuple[int, int] | None = None
) -> list[np.ndarray]:
    """The batches that a model is checked with: photographs, and random images.

    Args:
        shape: shape of the model's input, with None for free sizes.
        dtype: dtype of the input, `"float32"` or `"uint8"`.
        channels_first: whether the channels of the input are first. Defaults to False.
        image_size: height and width of the photographs where they are free. Defaults to None, for 128 x 128. The random
            images have other ones.

    Returns:
        Batches of one and of three images where the batch is free, else of its size.

    Example:

    >>> from keras_convnext.export.check import check_batches
    >>> [batch.shape for batch in check_batches((None, 32, 32, 3), "float32")]
    [(3, 32, 32, 3), (1, 32, 32, 3)]
    """
    height, width, channels = image_axes(shape[1:], channels_first)
    sizes = [image_size or FREE_SIZES[0], FREE_SIZES[1]]
    counts = (shape[0],) * 2 if shape[0] else (3, 1)
    photographs = [read_image(path) for path in sorted(PHOTOGRAPHS.glob("*.jpg"))]
    rng = np.random.default_rng(0)
    batches = []
    for free, count, is_random in zip(sizes, counts, (False, True), strict=True):
        size = (height or free[0], width or free[1])
        if is_random:
            images = rng.integers(0, 256, (count, *size, channels)).astype("uint8")
        else:
            some = [photographs[number % len(photographs)] for number in range(count)]
            images = np.stack([_fitted(image, size, channels) for image in some])
        batches.append(np.ascontiguousarray(np.moveaxis(images, -1, 1) if channels_first else images).astype(dtype))
    return batches


def _fitted(image, size, channels):
    """A photograph of another size and number of channels: its nearest pixels, and its channels again and again."""
    rows, columns = (
        np.arange(new) * min(image.shape[:2]) // max(size) + (old - min(image.shape[:2])) // 2
        for new, old in zip(size, image.shape[:2], strict=True)
    )
    return image[rows][:, columns][..., np.arange(channels) % image.shape[-1]]


def largest_difference(expected: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> float:
    """The largest difference of an output, divided by the largest absolute value of that output.

    Args:
        expected: outputs by name.
        outputs: the same outputs of a runtime. If there is one output, its name is ignored.

    Raises:
        ExportError: other outputs, other shapes, or a value that is NaN or Inf.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.export.check import largest_difference
    >>> largest_difference({"logits": np.array([2.0, -4.0])}, {"logits": np.array([2.0, -3.0])})
    0.25
    """
    if len(expected) == len(outputs) == 1:
        outputs = dict(zip(expected, outputs.values(), strict=True))
    if set(expected) != set(outputs):
        raise ExportError(f"The file has the outputs {', '.join(outputs)}; the model has {', '.join(expected)}.")
    differences = []
    for name, value in expected.items():
        if outputs[name].shape != value.shape:
            raise ExportError(f"The file's {name} have shape {outputs[name].shape}; the model's have {value.shape}.")
        if not np.isfinite(value).all():
            raise ExportError(
                f"The model's own {name} have values that are NaN or Inf, so that no file can be checked."
            )
        if not np.isfinite(outputs[name]).all():
            raise ExportError(f"The file's {name} have values that are NaN or Inf; the model's have none.")
        scale = np.abs(value).max() or 1.0
        differences.append(float(np.abs(outputs[name] - value).max() / scale))
    return max(differences)


def check_file(
    run: Callable[[np.ndarray], Mapping[str, np.ndarray]],
    batches: list[np.ndarray],
    expected: list[dict[str, np.ndarray]],
    tolerance: float,
) -> float:
    """Runs a file and the model it was made of on the same images.

    Args:
        run: runs the file, as `runtimes.RUNTIMES` returns it.
        batches: as `check_batches` returns them.
        expected: the outputs of the Keras model for each batch.
        tolerance: the largest difference that is accepted.

    Returns:
        The largest difference.

    Raises:
        ExportError: the difference is larger, or the outputs do not correspond.
    """
    largest = max(largest_difference(one, run(images)) for images, one in zip(batches, expected, strict=True))
    if largest > tolerance:
        raise ExportError(
            f"The exported file differs from the model by {largest:.1e} of its largest output; at most {tolerance:.0e} "
            "is accepted. Nothing was written."
        )
    return largest
