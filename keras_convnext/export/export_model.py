"""Exporting a model: written by a converter, checked in its runtime, and then moved to its place."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from keras_convnext.checkpoints.float_weights import has_lora, is_quantized, layers_that
from keras_convnext.export.check import TOLERANCES
from keras_convnext.export.deployed import deployed_model, described_input
from keras_convnext.export.files import beside, files_of, size_of
from keras_convnext.export.formats import find_format
from keras_convnext.export.int8.prepare_int8 import Calibration, prepare_int8
from keras_convnext.export.int8.report import Int8Report
from keras_convnext.export.int8.weight_only_formats import check_weight_only
from keras_convnext.export.other_backend import export_elsewhere
from keras_convnext.export.write_and_check import prepare_models, write_and_check
from keras_convnext.models import backbone_of
from keras_convnext.models.image_input import image_axes, is_channels_first
from keras_convnext.new_paths import check_new_path
from keras_convnext.preprocessing import ResizeAndCrop
from keras_convnext.scalars import integer, optional
from keras_convnext.version import __version__

MOST_ONNX_BYTES = 2**31 - 2**24
"""The most bytes of weights in an ONNX file, which is less than 2 GiB in all."""


@dataclass(frozen=True)
class Exported:
    """What `export` wrote.

    Attributes:
        path: the file, or the folder of a SavedModel.
        format: a key of `FORMATS`.
        backend: the backend that wrote it.
        dtype: `"float32"`, `"float16"` or `"int8"`.
        difference: the largest difference to the Keras model, relative to the largest output; for int8, that of the
            float file which was quantized.
        tolerance: the largest difference that would have been accepted.
        size: size in bytes, with the weights.
        seconds: how long it took.
        int8: the comparison of the int8 file with the float file; None for others.

    Example:

    >>> from keras_convnext.export import Exported
    >>> exported = Exported("model.onnx", "onnx", "torch", "float32", 3e-07, 1e-04, 114_000_000, 12.0)
    >>> f"{exported.size / 2**20:.0f} MiB, differs by {exported.difference:.0e}"
    '109 MiB, differs by 3e-07'
    """

    path: str
    format: str
    backend: str
    dtype: str
    difference: float
    tolerance: float
    size: int
    seconds: float
    int8: Int8Report | None = None


def export(
    model: keras.Model,
    path: str | Path,
    format: str | None = None,
    *,
    batch_size: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    dtype: str = "float32",
    preprocessing: ResizeAndCrop | None = None,
    preprocess: bool = False,
    softmax: bool = False,
    class_names: Sequence[str] | None = None,
    quantize: str | None = None,
    calibration: Calibration | None = None,
) -> Exported:
    """Exports a model for inference, and checks the file in its runtime before it takes its place.

    The model is traced in a form of plain operations, with layer scales folded into the weights. The file is written
    beside its place, run on photographs and random images, and compared with the Keras model. It is moved to its place
    if it agrees; otherwise nothing is left.

    Args:
        model: a classifier, backbone, detector or UPerNet, or another Keras model with one input, of images.
        path: where to write. The ending names the format: `.onnx`, `.tflite` (LiteRT), `.xml` (OpenVINO, with a `.bin`
            file beside), `.pt2` (`torch.export`), or none for the folder of a SavedModel.
        format: a key of `export.FORMATS`, which are the names of `keras.Model.export`. Defaults to that of the ending.
        batch_size: number of images in a batch. Defaults to None, for any number.
        image_size: side of the images in pixels, or `(height, width)`. Defaults to None: the sizes of the model's
            input, which may be free.
        dtype: `"float32"` or `"float16"`. In float16, ONNX, `.pt2` and SavedModel compute in float16, with the sums of
            norms in float32; OpenVINO and LiteRT store the weights in float16, and their runtimes choose how they
            compute. Inputs and outputs stay as they are. Defaults to `"float32"`.
        preprocessing: how images are resized and cropped for this model. It is stored in the file. Defaults to None.
        preprocess: whether the file itself resizes and crops: it then takes images of any size as uint8, of shape
            `(batch, height, width, channels)`. Needs `preprocessing`. Defaults to False.
        softmax: whether a classifier or UPerNet gives probabilities in place of logits. Defaults to False.
        class_names: names of the classes, which are stored in the file. Defaults to None.
        quantize: `"int8"` for a file that computes in int8, as `export.int8.quantize` writes it from the float file:
            ONNX, OpenVINO and LiteRT. Needs `calibration`. Defaults to None.
        calibration: images for `quantize`, an array of shape `(images, height, width, channels)` in 0..255, of the
            size that the file takes; or a tuple of images and labels. Defaults to None.

    Returns:
        An `Exported`.

    Raises:
        ValueError: the path exists, its ending names no format, or the model cannot be exported with these options.
        ModuleNotFoundError: no backend that writes the format, or no runtime that checks it, is installed.
        ExportError: the converter failed, or the file does not compute what the model computes.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.export import export
    >>> model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10, input_shape=(32, 32, 3))
    >>> exported = export(model, Path(tempfile.mkdtemp()) / "digits.onnx")
    >>> exported.difference < 1e-4
    True
    """
    return prepare_export(
        model,
        path,
        format,
        batch_size=batch_size,
        image_size=image_size,
        dtype=dtype,
        preprocessing=preprocessing,
        preprocess=preprocess,
        softmax=softmax,
        class_names=class_names,
        quantize=quantize,
        calibration=calibration,
    )()


def prepare_export(
    model: keras.Model,
    path: str | Path,
    format: str | None = None,
    *,
    batch_size: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    dtype: str = "float32",
    preprocessing: ResizeAndCrop | None = None,
    preprocess: bool = False,
    softmax: bool = False,
    class_names: Sequence[str] | None = None,
    quantize: str | None = None,
    calibration: Calibration | None = None,
) -> Callable[[], Exported]:
    """Checks all that `export` is given, and returns the work as a function without arguments.

    Args:
        model: as for `export`.
        path: as for `export`.
        format: as for `export`.
        batch_size: as for `export`.
        image_size: as for `export`.
        dtype: as for `export`.
        preprocessing: as for `export`.
        preprocess: as for `export`.
        softmax: as for `export`.
        class_names: as for `export`.
        quantize: as for `export`.
        calibration: as for `export`.

    Returns:
        The work, which returns an `Exported`, and raises `ExportError` alone, and errors of the disk.

    Raises:
        ValueError: as for `export`.
        ModuleNotFoundError: as for `export`.

    Example:

    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.export import prepare_export
    >>> model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10, input_shape=(32, 32, 3))
    >>> work = prepare_export(model, "digits.onnx", batch_size=1)  # `exported = work()` writes the file
    """
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise ValueError(f"{path}: {folder} is not a folder. Make it first, or choose another one.")
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a keras.Model. Received: a {type(model).__name__}")
    options: dict[str, Any] = {
        "batch_size": batch_size,
        "image_size": image_size,
        "dtype": dtype,
        "preprocessing": preprocessing,
        "preprocess": preprocess,
        "softmax": softmax,
        "class_names": class_names,
    }
    if quantize is not None:
        return prepare_int8(_prepare_float, model, path, format, quantize, calibration, options)
    if calibration is not None:
        raise ValueError("`calibration` has an effect with `quantize='int8'` only.")
    return _prepare_float(model, path, format, **options)


def _prepare_float(
    model: keras.Model,
    path: str | Path,
    format: str | None,
    *,
    batch_size: int | None,
    image_size: int | tuple[int, int] | None,
    dtype: str,
    preprocessing: ResizeAndCrop | None,
    preprocess: bool,
    softmax: bool,
    class_names: Sequence[str] | None,
) -> Callable[[], Exported]:
    """`prepare_export` of a file that is not quantized. Its folder may be made later."""
    found = find_format(path, format)
    for place in files_of(Path(path), found.name):
        check_new_path(place)
    if dtype not in TOLERANCES:
        raise ValueError(f"`dtype` must be one of {', '.join(TOLERANCES)}. Received: dtype={dtype!r}")
    if preprocess and preprocessing is None:
        raise ValueError("`preprocess` needs `preprocessing`, which says how images are resized and cropped.")
    if preprocess and image_size is not None:
        raise ValueError(
            "With `preprocess`, images of any size go in, and `preprocessing` has the size. Leave out `image_size`."
        )
    batch_size = optional(integer, "batch_size", batch_size, 1)
    if image_size is not None and not isinstance(image_size, (tuple, list)):
        image_size = (image_size, image_size)
    if image_size is not None:
        if len(image_size) != 2:
            raise ValueError(f"`image_size` must be a side or (height, width). Received: image_size={image_size}")
        height, width = (integer("image_size", side, 1) for side in image_size)
        image_size = (height, width)
    if dtype != "float32" and (changed := layers_that(is_quantized, model) or layers_that(has_lora, model)):
        raise ValueError(
            f"`dtype={dtype}` needs float32 weights. Received: a model with quantized layers or LoRA ({changed[0]}, "
            "...). Export the float model."
        )
    options: dict[str, Any] = {
        "batch_size": batch_size,
        "image_size": image_size,
        "preprocess": preprocessing if preprocess else None,
        "softmax": softmax,
    }
    reference = deployed_model(model, **options)
    if preprocessing is not None and not preprocess:
        size = image_axes(reference.inputs[0].shape[1:], is_channels_first(model))[:2]
        for given, own in zip((preprocessing.height, preprocessing.width), size, strict=True):
            if own not in (None, given):
                raise ValueError(
                    f"`preprocessing` makes images of {preprocessing.height} x {preprocessing.width} pixels, and the "
                    f"file takes {size[0]} x {size[1]}. Give one of the file's size."
                )
    if found.name == "onnx" and _weight_bytes(model, dtype) >= MOST_ONNX_BYTES:
        raise ValueError("An ONNX file holds less than 2 GiB of weights. Choose `dtype=float16` or another format.")
    metadata = _metadata(model, reference, dtype, preprocessing, preprocess, class_names)
    backend = found.writer(keras.backend.backend())
    check_weight_only(model, found.name, backend)
    models = prepare_models(model, found, dtype, options) if backend == keras.backend.backend() else None

    def write():
        start = time.perf_counter()
        with beside(Path(path), found.name) as temporary:
            if models is not None:
                difference, tolerance = write_and_check(*models, temporary, found, dtype, options, metadata)
            else:
                settings = {**options, "preprocess": preprocess and asdict(options["preprocess"])}
                difference, tolerance = export_elsewhere(
                    backend, model, temporary, {"format": found.name, "dtype": dtype, "options": settings}, metadata
                )
            size = size_of(temporary, found.name)
        seconds = time.perf_counter() - start
        return Exported(str(path), found.name, backend, dtype, difference, tolerance, size, seconds)

    return write


def _weight_bytes(model, dtype):
    count = sum(math.prod(weight.shape) for weight in model.weights)
    return count * {"float32": 4, "float16": 2}[dtype]


def _metadata(model, reference, dtype, preprocessing, preprocess, class_names):
    backbone = backbone_of(model)
    (image,) = reference.inputs
    if isinstance(class_names, str):
        raise ValueError(f"`class_names` must be a sequence of names. Received: {class_names!r}")
    if class_names is not None and getattr(model, "num_classes", len(class_names)) != len(class_names):
        raise ValueError(
            f"`class_names` must name the model's {model.num_classes} classes. Received: {len(class_names)} names"
        )
    return {
        "version": __version__,
        "preset": getattr(backbone, "preset", None),
        "license": getattr(backbone, "license", None),
        "class_names": None if class_names is None else [str(name) for name in class_names],
        "input": {
            "name": image.name,
            "dtype": keras.backend.standardize_dtype(image.dtype),
            **described_input(model, image.shape),
            **({"layout": "NHWC"} if preprocess else {}),
        },
        "outputs": list(reference.output),
        "preprocessing": None if preprocessing is None else asdict(preprocessing),
        "in_graph": bool(preprocess),
        "dtype": dtype,
    }
