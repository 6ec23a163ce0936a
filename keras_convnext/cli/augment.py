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
    require("keras_cv", extra="cv")
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
    images = load_data(args.data, verbose=False).train
    if not images.are_files and images.pixels.shape[-1] not in (1, 3):
        raise ValueError(f"{args.data}: expected images of three channels or one, got {images.pixels.shape[-1]}.")
    return lambda: _draw(images.take(range(min(args.rows, len(images)))), args, out)


def _draw(images, args, out):
    import tensorflow as tf

    augmentation = Augmentation()
    resize = ResizeAndCrop(args.size, args.size)
    pixels = [read_image(image) if images.are_files else as_bytes(image) for image in images.pixels]
    layers = augmentation.image_layers(args.size, args.size, pixels[0].shape[-1])
    labels = tf.one_hot(images.labels, len(images.class_names))

    def example(index, epoch):
        seed = tf.constant([args.seed, epoch, index], tf.int64)
        return {"images": tf.constant(pixels[index]), "labels": labels[index], "seed": seed}

    def through(layers, inputs):
        """In a graph, as in a training: there, the layers' tensors are TensorFlow's on every backend."""
        for layer in layers:
            inputs = next(iter(tf.data.Dataset.from_tensors(inputs).map(layer)))
        return inputs

    rows = [
        [resize(image), *(through(layers, example(index, epoch))["images"] for epoch in range(COLUMNS - 1))]
        for index, image in enumerate(pixels)
    ]
    examples = [through(layers, example(number % len(pixels), COLUMNS + number)) for number in range(COLUMNS)]
    batch = {key: tf.stack([one[key] for one in examples]) for key in examples[0]}
    rows.append(through([augmentation.batch_layer()], batch)["images"])
    grid = np.concatenate([np.concatenate([np.asarray(image, "float32") for image in row], axis=1) for row in rows])
    grid = np.clip(grid, 0, 255).round().astype("uint8")
    pillow = require("PIL.Image", extra="cli")
    pillow.fromarray(grid[..., 0] if grid.shape[-1] == 1 else grid).save(out)
    print(f"{out}: {len(pixels)} images, {COLUMNS - 1} epochs of each, and a mixed batch")


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
