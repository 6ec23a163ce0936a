"""Draws a grid of augmented images; or times the augmentation against timm's.

Each row has an image, resized alone, and then as it is augmented in one epoch after the other; the last row is a batch
whose images are mixed.
"""

import json
from pathlib import Path
from statistics import median

import numpy as np

from keras_convnext.cli.arguments import not_negative, positive
from keras_convnext.data import load_data, read_image
from keras_convnext.data.augment_workers import as_bytes
from keras_convnext.extras import require
from keras_convnext.preprocessing import Augmentation, ResizeAndCrop
from keras_convnext.profiling.packages import import_torchvision

COLUMNS = 8


def add_arguments(parser):
    parser.add_argument("--data", required=True, help="`digits`, FILE.npz, or FOLDER")
    parser.add_argument("--out", help="the picture to write, such as grid.png")
    parser.add_argument("--size", type=positive, default=224, help="side of the images in pixels (default: 224)")
    parser.add_argument("--rows", type=positive, default=4, help="how many images (default: 4)")
    parser.add_argument("--seed", type=not_negative, default=0, help="of all that is drawn (default: 0)")
    parser.add_argument("--benchmark", action="store_true", help="images a second, against timm's; --data is a folder")
    parser.add_argument("--files", action="store_true", help="of the benchmark: read the files too")
    parser.add_argument("--rounds", type=positive, default=15, help="of the benchmark (default: 15)")
    parser.add_argument("--json", action="store_true", help="of the benchmark: print JSON")


def prepare(args):
    if args.benchmark == bool(args.out):
        raise ValueError("give --out GRID.png to draw a grid, or --benchmark to time the augmentation.")
    require("PIL", extra="cli")
    if args.benchmark:
        if not Path(args.data).is_dir():
            raise ValueError(f"{args.data}: --benchmark takes a folder of images.")
        import_torchvision()  # before timm does
        require("timm", extra="dev")
        return lambda: _benchmark(args)
    out = Path(args.out)
    if not out.absolute().parent.is_dir():
        raise ValueError(f"{out.parent}: no such folder.")
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise ValueError(f"{out}: expected a name that ends in .png, .jpg or .webp.")
    images = load_data(args.data).train
    if not images.are_files and images.pixels.shape[-1] not in (1, 3):
        raise ValueError(f"{args.data}: expected images of three channels or one, got {images.pixels.shape[-1]}.")
    return lambda: _draw(images.take(range(min(args.rows, len(images)))), args, out)


def _draw(images, args, out):
    from keras_convnext.preprocessing.augmentation import augment_picture, picture_of

    size = (args.size, args.size)
    augmentation = Augmentation()
    sources = [read_image(image) if images.are_files else as_bytes(image) for image in images.pixels]
    channels = sources[0].shape[-1]
    steps, erasing = augmentation.picture_steps(*size, channels), augmentation.erasing(channels)

    def augmented(index, epoch):
        seed = (args.seed, epoch, index)
        pixels = augment_picture(picture_of(sources[index]), seed, steps).astype("float32")
        erasing.erase(pixels, erasing.generator(seed))
        return pixels

    resize, mixing = ResizeAndCrop(*size), augmentation.mixing()
    rows = [
        [resize(image), *(augmented(index, epoch) for epoch in range(COLUMNS - 1))]
        for index, image in enumerate(sources)
    ]
    batch = np.stack([augmented(number % len(sources), COLUMNS + number) for number in range(COLUMNS)])
    mixing.mix(batch, np.zeros((COLUMNS, 1)), mixing.generator((args.seed, COLUMNS, 0)))
    grid = np.concatenate([np.concatenate(row, axis=1) for row in [*rows, batch]])
    grid = np.clip(grid, 0, 255).round().astype("uint8")
    picture_of(grid).save(out)
    print(f"{out}: {len(sources)} images, {COLUMNS - 1} epochs of each, and a mixed batch")


def _benchmark(args):
    from keras_convnext.profiling.pipeline import WORKERS, compare

    found = compare(args.data, args.size, args.rounds, args.files, show=(lambda line: None) if args.json else print)
    if args.json:
        print(json.dumps(found, indent=2))
        return
    ours, theirs = (median(found[name]) for name in ("ours", "timm"))
    source = "files" if args.files else "decoded images"
    print(
        f"from {source} to {args.size} pixels, {WORKERS} workers: ours {ours:.0f} images/s, timm {theirs:.0f}; "
        f"ours / timm {found['ratio']:.2f}, median of {args.rounds} rounds"
    )
