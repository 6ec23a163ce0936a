"""Prints the most likely classes of images, by name."""

import contextlib
import json
import sys

import keras
import numpy as np

from keras_convnext.cli.arguments import positive
from keras_convnext.cli.source import HELP, find_source
from keras_convnext.data import read_image


def add_arguments(parser):
    parser.add_argument("source", metavar="NAME_OR_RUN", help=HELP)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files")
    parser.add_argument("--top", type=positive, default=5, help="how many classes to print (default: 5)")
    parser.add_argument("--size", type=positive, help="side of the images in pixels (default: as published)")
    parser.add_argument("--skip-unreadable", action="store_true", help="leave out image files that cannot be read")
    parser.add_argument("--json", action="store_true", help="print JSON")


def prepare(args):
    source = find_source(args.source, args.size)
    images, skipped = [], []
    for path in args.images:
        try:
            images.append((path, source.transform(read_image(path, source.channels))))
        except ValueError:
            if not args.skip_unreadable:
                raise
            skipped.append(path)
    if not images:
        raise ValueError(f"none of {len(args.images)} images is readable.")
    with contextlib.redirect_stdout(sys.stderr):  # where a download shows its progress
        model = source.load()
    return lambda: _predict(model, source.class_names, images, skipped, args)


def _predict(model, class_names, images, skipped, args):
    outputs = model.predict(np.stack([pixels for _, pixels in images]).astype("float32"), verbose=0)
    probabilities = outputs if model.activation else keras.ops.convert_to_numpy(keras.ops.softmax(outputs))
    facts = [
        {"image": path, "classes": _top(row, class_names, args.top)}
        for (path, _), row in zip(images, probabilities, strict=True)
    ]
    if args.json:
        print(json.dumps({"images": facts, "skipped": skipped}, indent=2))
        return
    for fact in facts:
        classes = ", ".join(f"{entry['name']} {entry['probability']:.1%}" for entry in fact["classes"])
        print(f"{fact['image']}: {classes}")
    if skipped:
        print(f"{len(skipped)} unreadable skipped: {', '.join(skipped)}")


def _top(probabilities, class_names, count):
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [{"name": class_names[i], "probability": float(probabilities[i])} for i in order]
