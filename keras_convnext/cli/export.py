"""Exports a model to ONNX, LiteRT, OpenVINO, SavedModel or .pt2, and checks the file in its runtime.

The ending of OUT names the format: .onnx, .tflite (LiteRT), .xml (OpenVINO), .pt2 (torch.export), or none for the
folder of a SavedModel. The file is run on photographs and random images and compared with the Keras model before it
takes its place. A format that the running backend does not write is written by another one that is installed. Class
names, image size, preset and licence are stored in the file.

Examples:

    keras-convnext export runs/digits-convnext_mini-1 digits.onnx
    keras-convnext export convnext_tiny_1k_224_ema convnext_tiny.tflite --dtype float16
    keras-convnext export convnext_tiny_1k_224_ema convnext_tiny.onnx --preprocess --softmax
    keras-convnext export runs/digits-convnext_mini-1 int8.onnx --quantize int8 --calibrate digits
"""

import argparse
import json
import re
from dataclasses import asdict, replace

from keras_convnext.cli.arguments import (
    add_skip_unreadable,
    backend_errors,
    check_new_file,
    positive,
    terminated_as_interrupted,
)
from keras_convnext.cli.calibration import CALIBRATION_IMAGES, calibration_images
from keras_convnext.cli.source import HELP, find_any_source
from keras_convnext.export import FORMATS, prepare_export
from keras_convnext.export.check import TOLERANCES
from keras_convnext.export.formats import find_format
from keras_convnext.export.int8 import WeightOnlyReport, compare_weight_only
from keras_convnext.models.image_input import image_axes, is_channels_first

FREE = "free"

COMPARED_IMAGES = 100
"""The images on which Keras's own quantized models are compared. Their `predict` is slow."""


def add_arguments(parser):
    parser.add_argument("source", metavar="MODEL", help=HELP)
    parser.add_argument("target", metavar="OUT", help="a new file; its ending names the format")
    parser.add_argument("--format", choices=FORMATS, help="format (default: that of the ending)")
    parser.add_argument(
        "--batch",
        dest="batch_size",
        metavar="BATCH",
        type=_free_or(positive),
        help="images per batch, or `free` for any number (default: free)",
    )
    parser.add_argument(
        "--size",
        type=_free_or(_size),
        help="side of the images in pixels, HEIGHTxWIDTH, or `free` for any size (default: the model's own)",
    )
    parser.add_argument("--dtype", choices=TOLERANCES, default="float32", help="precision (default: float32)")
    parser.add_argument(
        "--preprocess", action="store_true", help="resize and crop in the file, which then takes images of any size"
    )
    parser.add_argument("--softmax", action="store_true", help="return probabilities in place of logits")
    parser.add_argument("--quantize", choices=("int8",), help="compute in int8: .onnx, .tflite and .xml")
    parser.add_argument(
        "--calibrate",
        metavar="DATA",
        help=f"with --quantize: `digits`, FILE.npz or FOLDER; up to {CALIBRATION_IMAGES} of its images are used "
        "(default: the data of the run)",
    )
    add_skip_unreadable(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def prepare(args):
    check_new_file(args.target)
    find_format(args.target, args.format)
    size = None if args.size in (None, FREE) else args.size
    source = find_any_source(args.source, size[0] if size and size[0] == size[1] else None)
    if args.preprocess and source.transform is None:
        raise ValueError(f"--preprocess: how images are prepared for {args.source} is not known.")
    if args.preprocess and args.size == FREE:
        raise ValueError("--size free: with --preprocess, images of any size are resized to the size of the model.")
    if args.calibrate is not None and args.quantize is None:
        raise ValueError(f"--calibrate {args.calibrate}: it has an effect with --quantize int8 only.")
    transform = source.transform
    if size and transform is not None:
        transform = replace(transform, height=size[0], width=size[1])
    calibration = calibration_images(source, transform, args) if args.quantize else None
    model = source.load()
    write = prepare_export(
        model,
        args.target,
        args.format,
        batch_size=None if args.batch_size == FREE else args.batch_size,
        image_size=None if args.preprocess else _image_size(args, size, transform, model),
        dtype=args.dtype,
        preprocessing=transform,
        preprocess=args.preprocess,
        softmax=args.softmax,
        class_names=source.class_names or None,
        quantize=args.quantize,
        calibration=calibration,
    )
    return lambda: _export(write, args, model, calibration)


def _image_size(args, size, transform, model):
    """The size of the images in the file; None leaves it as the model has it."""
    own = image_axes(model.input_shape[1:], is_channels_first(model))[:2]
    if args.size == FREE:
        if None not in own:
            raise ValueError(f"--size free: the model takes images of {own[0]} x {own[1]} pixels.")
        return None
    return (transform.height, transform.width) if transform is not None else size


def _export(write, args, model, calibration):
    weight_only = []
    with backend_errors():
        with terminated_as_interrupted():
            exported = write()
        if calibration is not None:
            images, labels = calibration
            some = slice(COMPARED_IMAGES)
            weight_only = compare_weight_only(model, images[some], None if labels is None else labels[some])
    if args.json:
        print(json.dumps({**asdict(exported), "weight_only": [asdict(one) for one in weight_only]}, indent=2))
        return
    written = "The float32 file that was quantized" if exported.int8 else "It"
    print(
        f"{exported.path}: {FORMATS[exported.format].title}, {exported.dtype}, {exported.size / 1e6:.2f} MB, "
        f"written with {exported.backend} in {exported.seconds:.0f} s. {written} differs from the Keras model by "
        f"{exported.difference:.1e} of the largest output ({exported.tolerance:.0e} is accepted)."
    )
    if exported.int8 is not None:
        print(f"\nOn {exported.int8.images} calibration images, in the runtime:")
        print("\n".join(exported.int8.lines()))
        count = weight_only[0].images
        print(f"\nFor comparison, weight-only quantization by Keras, with `predict` on {count} of these images:")
        print("\n".join(WeightOnlyReport.table(weight_only)))


def _free_or(convert):
    """The type of an option that takes a value or `free`."""

    def value(text):
        if text == FREE:
            return FREE
        try:
            return convert(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{error}; or give `{FREE}`") from error

    return value


def _size(text):
    """Height and width: `224`, or `224x320`."""
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected a number of pixels or HEIGHTxWIDTH, got {text!r}")
    return positive(match[1]), positive(match[2] or match[1])
