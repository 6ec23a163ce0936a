"""Prints the most likely classes of images, by name.

Folders are searched for images, including their sub-folders.

Examples:

    keras-convnext predict runs/folder-convnext_atto-1 photo.jpg
    keras-convnext predict convnext_tiny_1k_224_ema '*.jpg' --top 3
"""

import json

import keras
import numpy as np

from keras_convnext.cli.arguments import add_skip_unreadable, backend_errors, positive
from keras_convnext.cli.image_files import find_image_files, split_readable
from keras_convnext.cli.source import HELP, find_source
from keras_convnext.data import read_image
from keras_convnext.models import returns_logits

BATCH = 32
"""Images per batch."""


def add_arguments(parser):
    parser.add_argument("source", metavar="NAME_OR_RUN", help=HELP)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files, folders, or patterns such as '*.jpg'")
    parser.add_argument("--top", type=positive, default=5, help="number of classes to print (default: 5)")
    parser.add_argument("--size", type=positive, help="side of the images in pixels (default: as published)")
    add_skip_unreadable(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def prepare(args):
    source = find_source(args.source, args.size)
    paths, skipped = split_readable(find_image_files(args.images), source.channels, args.skip_unreadable)
    model = source.load()
    return lambda: _predict(model, source, paths, skipped, args)


def _predict(model, source, paths, skipped, args):
    gives_logits = returns_logits(model)
    facts = []
    for start in range(0, len(paths), BATCH):
        some = paths[start : start + BATCH]
        images = np.stack([source.transform(read_image(path, source.channels)) for path in some]).astype("float32")
        with backend_errors():
            outputs = model.predict(images, verbose=0)
            probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(outputs)) if gives_logits else outputs
        for path, row in zip(some, probabilities, strict=True):
            fact = {"image": path, "classes": _top(row, source.class_names, args.top)}
            if args.json:
                facts.append(fact)
            else:
                _print(fact)
    if args.json:
        print(json.dumps({"images": facts, "skipped": skipped}, indent=2))
    elif skipped:
        print(f"{len(skipped)} unreadable skipped: {', '.join(skipped)}")


def _print(fact):
    classes = ", ".join(f"{entry['name']} {entry['probability']:.1%}" for entry in fact["classes"])
    print(f"{fact['image']}: {classes}")


def _top(probabilities, class_names, count):
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [{"name": class_names[i], "probability": float(probabilities[i])} for i in order]
