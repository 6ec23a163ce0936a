"""Draws a grid of augmented images, or times the augmentation against timm's or as keras-cv layers.

Each row begins with an image that is only resized, followed by its augmentations in successive epochs. The images are
from as many classes as possible. The last row is a batch after MixUp or CutMix. With --task detection or segmentation,
the steps are those of this package's recipe for the task, and boxes or label maps are drawn on the images.

Examples:

    keras-convnext augment --data folder --output grid.png
    keras-convnext augment --task detection --data train.json --output boxes.png
    keras-convnext augment --data folder --benchmark
"""

import functools
import json
import sys
from itertools import zip_longest
from pathlib import Path
from statistics import median

import numpy as np

from keras_convnext.benchmarking.spread import spread_warning
from keras_convnext.cli.annotated_grid import draw_annotated_grid
from keras_convnext.cli.arguments import add_skip_unreadable, check_new_file, not_negative, positive
from keras_convnext.data import load_data, read_image
from keras_convnext.data.augment_workers import as_bytes
from keras_convnext.data.load import is_name
from keras_convnext.extras import import_torchvision, require
from keras_convnext.preprocessing import Augmentation, ResizeAndCrop
from keras_convnext.preprocessing.augmentation import ImageFormat, augment_batch, augment_image, to_pil
from keras_convnext.training import RECIPES
from keras_convnext.training.tasks import TASKS, Classification, find_task

COLUMNS = 8


def add_arguments(parser):
    parser.add_argument(
        "--data",
        required=True,
        help="`digits`, FILE.npz, a folder with a sub-folder per class or of shards, or tfds:NAME; for detection and "
        "segmentation what `train` takes",
    )
    parser.add_argument("--task", choices=TASKS, help="what the images are annotated for (default: classification)")
    parser.add_argument("--output", help="new image file, such as grid.png")
    parser.add_argument("--size", type=positive, default=224, help="side of the images in pixels (default: 224)")
    parser.add_argument("--rows", type=positive, help="number of images (default: 4)")
    parser.add_argument("--seed", type=not_negative, help="seed of the augmentation (default: 0)")
    add_skip_unreadable(parser)
    parser.add_argument(
        "--benchmark",
        action="store_true",
        help="compare images per second with another augmentation; --data must be a folder, of images or of shards",
    )
    parser.add_argument("--files", action="store_true", help="with --benchmark: also read the image files")
    parser.add_argument(
        "--against",
        choices=("timm", "keras_cv"),
        help="with --benchmark: compare with timm's augmentation, or with ours as keras-cv layers (default: timm)",
    )
    parser.add_argument("--rounds", type=positive, help="with --benchmark: number of rounds (default: 15)")
    parser.add_argument("--json", action="store_true", help="with --benchmark: print JSON")


def prepare(args):
    if args.benchmark == (args.output is not None):
        raise ValueError("give --output GRID.png to draw a grid, or --benchmark to time the augmentation.")
    others = ("rows", "seed", "task") if args.benchmark else ("files", "rounds", "json", "against")
    given = [name for name in others if getattr(args, name) not in (None, False)]
    if given:
        raise ValueError(f"--{given[0]}: not with {'--benchmark' if args.benchmark else '--output'}.")
    require("PIL", extra="cli")
    if args.benchmark:
        if args.data and not is_name(args.data) and not Path(args.data).exists():
            raise ValueError(f"No such file or folder: {args.data}")
        if not args.data or not Path(args.data).is_dir():
            raise ValueError(f"{args.data or repr(args.data)}: --benchmark takes a folder of images.")
        load_data(args.data, args.skip_unreadable, verbose=not args.json)
        if args.against == "keras_cv":
            require("tensorflow", extra="cv")
            require("keras_cv", extra="cv")
        else:
            import_torchvision()  # before timm does
            require("timm", extra="dev")
        return lambda: _benchmark(args)
    check_new_file(args.output, (".png", ".jpg", ".jpeg", ".webp"))
    task = find_task(args.task or Classification.name)
    if task.name != Classification.name:
        annotated = task.load_data(args.data, args.skip_unreadable).train
        return lambda: _draw_annotated(annotated.take(range(min(args.rows or 4, len(annotated)))), task, args)
    images = load_data(args.data, args.skip_unreadable).train
    if not images.are_files and images.pixels.shape[-1] not in (1, 3):
        raise ValueError(f"{args.data}: expected images of three channels or one, got {images.pixels.shape[-1]}.")
    return lambda: _draw(images.take(across_classes(images.labels, args.rows or 4)), args, Path(args.output))


def across_classes(labels, count):
    """Chooses a few images from as many classes as possible: the first of each class, then the second of each.

    Args:
        labels: int array of shape `(images,)`.
        count: int, number of images. If there are more classes than that, evenly spaced ones are chosen.

    Returns:
        A list of indices, no more than there are images.
    """
    of_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    if count < len(of_class):
        of_class = [of_class[place] for place in np.linspace(0, len(of_class) - 1, count).round().astype(int)]
    in_turn = [index for some in zip_longest(*of_class) for index in some if index is not None]
    return [int(index) for index in in_turn[:count]]


def _draw(images, args, out):
    size = (args.size, args.size)
    sources = [read_image(image) if images.are_files else as_bytes(image) for image in images.pixels]
    channels = sources[0].shape[-1]
    augmentation = Augmentation().for_images(ImageFormat(*size, channels))

    def augmented(index, epoch):
        seed = (args.seed or 0, epoch, index)
        return augment_image(to_pil(sources[index]), seed, augmentation.steps).astype("float32")

    resize = ResizeAndCrop(*size)
    rows = [
        [resize(image), *(augmented(index, epoch) for epoch in range(COLUMNS - 1))]
        for index, image in enumerate(sources)
    ]
    batch = np.stack([augmented(number % len(sources), COLUMNS + number) for number in range(COLUMNS)])
    seed = (args.seed or 0, COLUMNS, 0)
    batch, _ = augment_batch(batch, np.zeros((COLUMNS, 1)), seed, augmentation.steps_on("batches"))
    grid = np.concatenate([np.concatenate(row, axis=1) for row in [*rows, batch]])
    grid = np.clip(grid, 0, 255).round().astype("uint8")
    to_pil(grid).save(out)
    classes = len(set(images.labels.tolist()))
    print(
        f"{out}: {len(sources)} images of {classes} class{'es' if classes > 1 else ''}, {COLUMNS - 1} epochs of each, "
        "and a mixed batch"
    )


def _draw_annotated(images, task, args):
    draw_annotated_grid(images, task, args.size, COLUMNS, args.seed or 0, Path(args.output))
    steps = ", ".join(type(step).__name__ for step in RECIPES[task.name].augmentation.steps)
    print(f"{args.output}: {len(images)} images, {COLUMNS - 1} epochs of each, augmented by {steps}")


def _benchmark(args):
    from keras_convnext.benchmarking.pipeline import WORKERS, compare

    rounds, other = args.rounds or 15, args.against or "timm"
    progress = (lambda line: None) if args.json else functools.partial(print, file=sys.stderr)
    try:
        found = compare(args.data, args.size, rounds, args.files, progress=progress, against=other)
    except RuntimeError as error:
        print(f"keras-convnext augment: {error}", file=sys.stderr)
        return 1
    warning = spread_warning(f"ours / {other}", found["spread"], rounds)
    if args.json:
        print(json.dumps({**found, "warnings": [warning] if warning else []}, indent=2))
        return 0
    ours, theirs = (median(found[name]) for name in ("ours", other))
    source = "files" if args.files else "decoded images"
    print(
        f"from {source} to {args.size} pixels, {WORKERS} workers: ours {ours:.0f} images/s, {other} {theirs:.0f}; "
        f"ours / {other} {found['ratio']:.2f}, median of {rounds} rounds, spread {found['spread']:.0%}"
    )
    if warning:
        print(f"warning: {warning}")
    return 0
