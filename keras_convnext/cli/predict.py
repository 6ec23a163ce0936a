"""Prints the most likely classes of images, by name."""

import json

import keras
import numpy as np

from keras_convnext.cli.arguments import positive
from keras_convnext.data import read_image
from keras_convnext.preprocessing import ResizeAndCrop
from keras_convnext.training import Run


def add_arguments(parser):
    parser.add_argument("run", help="a run folder that `keras-convnext train` left")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files")
    parser.add_argument("--top", type=positive, default=5, help="how many classes to print (default: 5)")
    parser.add_argument("--skip-unreadable", action="store_true", help="leave out image files that cannot be read")
    parser.add_argument("--json", action="store_true", help="print JSON")


def prepare(args):
    run = Run.open(args.run)
    config = run.config
    height, width, channels = config["image_shape"]
    resize = ResizeAndCrop(height, width)
    images, skipped = [], []
    for path in args.images:
        try:
            images.append((path, resize(read_image(path, channels))))
        except ValueError:
            if not args.skip_unreadable:
                raise
            skipped.append(path)
    if not images:
        raise ValueError(f"none of {len(args.images)} images is readable.")
    model = run.load_model()
    return lambda: _predict(model, config["class_names"], images, skipped, args)


def _predict(model, class_names, images, skipped, args):
    logits = model.predict(np.stack([pixels for _, pixels in images]).astype("float32"), verbose=0)
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
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
