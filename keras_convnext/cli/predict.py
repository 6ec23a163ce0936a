"""Prints what a model sees in images: the most likely classes, the objects, or the share of each class.

With --output, boxes or label maps are drawn on copies of the images. Folders are searched for images, including their
sub-folders.

Examples:

    keras-convnext predict runs/folder-convnext_atto-1 photo.jpg
    keras-convnext predict convnext_tiny_1k_224_ema '*.jpg' --top 3
    keras-convnext predict runs/digit_scenes-retinanet-convnext_atto-1 photos --output drawn
"""

import itertools
import json
from pathlib import Path

from keras_convnext.cli.arguments import add_skip_unreadable, backend_errors, fraction, positive
from keras_convnext.cli.image_files import find_image_files, split_readable
from keras_convnext.cli.source import HELP, find_source
from keras_convnext.data import read_image
from keras_convnext.detection.predict import MIN_CONFIDENCE
from keras_convnext.new_paths import check_new_folder
from keras_convnext.training.tasks import Classification, Detection

BATCH = 32
"""Images per batch."""


def add_arguments(parser):
    parser.add_argument("source", metavar="NAME_OR_RUN", help=HELP)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files, folders, or patterns such as '*.jpg'")
    parser.add_argument(
        "--top", type=positive, default=5, help="number of classes or objects to print; all are drawn (default: 5)"
    )
    parser.add_argument(
        "--confidence",
        type=fraction,
        help=f"for detectors: the least confidence of an object (default: {MIN_CONFIDENCE})",
    )
    parser.add_argument("--size", type=positive, help="side of the images in pixels (default: as published)")
    add_skip_unreadable(parser)
    parser.add_argument("--output", metavar="FOLDER", help="new folder for images with boxes or label maps drawn in")
    parser.add_argument("--json", action="store_true", help="print JSON")


def prepare(args):
    if args.output is not None:
        check_new_folder(args.output)
    source = find_source(args.source, args.size)
    if args.output is not None and source.task.name == Classification.name:
        raise ValueError(f"--output {args.output}: {args.source} classifies images, and has nothing to draw on them.")
    if args.confidence is not None and source.task.name != Detection.name:
        raise ValueError(f"--confidence {args.confidence:g}: {args.source} is not a detector.")
    paths, skipped = split_readable(find_image_files(args.images), source.channels, args.skip_unreadable)
    model = source.load()
    return lambda: _predict(model, source, paths, skipped, args)


def _predict(model, source, paths, skipped, args):
    task, facts = source.task, []
    settings = {} if args.confidence is None else {"min_confidence": args.confidence}
    names = _new_names(paths)
    if args.output:
        Path(args.output).mkdir(parents=True)
    for start in range(0, len(paths), BATCH):
        some = paths[start : start + BATCH]
        images = [read_image(path, source.channels) for path in some]
        with backend_errors():
            predictions = task.predict(model, images, source.transform, **settings)
        for path, image, prediction in zip(some, images, predictions, strict=True):
            fact = {"image": path, **task.facts(prediction, source.class_names, args.top)}
            if args.output:
                task.draw_prediction(image, prediction, source.class_names).save(Path(args.output, names[path]))
            facts.append(fact)
            if not args.json:
                print(f"{path}: {task.describe(fact)}")
    if args.json:
        print(json.dumps({"images": facts, "skipped": skipped}, indent=2))
        return
    if task.name == Detection.name and not any(fact["objects"] for fact in facts):
        least = MIN_CONFIDENCE if args.confidence is None else args.confidence
        print(f"No object has a confidence of {least:g} or more; --confidence lowers the limit.")
    if skipped:
        print(f"{len(skipped)} unreadable skipped: {', '.join(skipped)}")


def _new_names(paths):
    """A name of a PNG file for each path: its own, with a number if several have the same."""
    names, taken = {}, set()
    for path in paths:
        stem = Path(path).stem
        candidates = (f"{stem}{f'-{number}' if number else ''}.png" for number in itertools.count())
        names[path] = next(name for name in candidates if name not in taken)
        taken.add(names[path])
    return names
