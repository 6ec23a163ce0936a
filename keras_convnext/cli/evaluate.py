"""Scores a model on labelled images: accuracy, top-5 accuracy, and the accuracy of each class.

Detectors are scored by COCO's mAP, and segmentation models by mean IoU. A run is scored on the test images of the data
it was trained with, or of --data if that has the same classes. Other weights need --data. Class folders must be named
like the model's classes; for ImageNet-1k, WordNet ids such as n01440764 work too. Without test images, the validation
images are scored, and without either, all images. If a published accuracy exists, it is printed next to the measured
one.

Examples:

    keras-convnext evaluate runs/folder-convnext_atto-1 --output report
    keras-convnext evaluate convnext_tiny_1k_224_ema --data imagenet/val
"""

import json
from dataclasses import replace
from pathlib import Path

from keras_convnext.cli.arguments import add_skip_unreadable, backend_errors, positive
from keras_convnext.cli.labelled_images import load_run_data, load_source_data
from keras_convnext.cli.source import HELP, find_source
from keras_convnext.data import AnnotatedBatches, Batches, with_validation
from keras_convnext.extras import require
from keras_convnext.new_paths import check_new_folder
from keras_convnext.training import Recipe, Run
from keras_convnext.training.tasks import Segmentation

SPOKEN = {"top5_accuracy": "top-5", "map": "mAP", "ap50": "AP50", "ap75": "AP75", "ar": "AR", "miou": "mIoU"}
"""The names of scores as they are printed, where they differ."""

SHOWN = 20
"""How many classes are printed, the least accurate first; --json has all."""


def add_arguments(parser):
    parser.add_argument("source", metavar="NAME_OR_RUN", help=HELP)
    parser.add_argument(
        "--data", help="`digits`, FILE.npz, FOLDER (of images or shards) or tfds:NAME (default: the data of the run)"
    )
    parser.add_argument(
        "--batch",
        dest="batch_size",
        metavar="BATCH",
        type=positive,
        help="images per batch (default: 32, or the run's own)",
    )
    parser.add_argument("--size", type=positive, help="side of the images in pixels (default: as published)")
    add_skip_unreadable(parser)
    parser.add_argument("--output", metavar="FOLDER", help="new folder for pictures of the predictions")
    parser.add_argument("--json", action="store_true", help="print JSON")


def prepare(args):
    if args.output is not None:
        require("matplotlib", extra="cli")
        check_new_folder(args.output)
    source = find_source(args.source, args.size)
    label_smoothing = 0.0
    if source.run:
        config = source.run.config
        settings = dict(config["recipe"])
        is_augmented = settings.pop("augmentation", None) is not None  # its steps may be of a module unknown here
        try:
            recipe = Recipe.from_config(settings)
        except ValueError as error:
            raise ValueError(f"{source.run.path}: not the recipe of a run in its config.json: {error}") from error
        recipe = replace(recipe, batch_size=args.batch_size or recipe.batch_size, accumulate=1)
        label_smoothing = 0.0 if is_augmented else recipe.label_smoothing
        data = load_run_data(config, args.data, args.skip_unreadable, verbose=not args.json)
        if args.data is None:
            data = with_validation(data, recipe.seed)
    else:
        data = load_source_data(source, args.data, args.skip_unreadable, verbose=not args.json)
    parts = {"test": data.test, "validation": data.validation, "all": data.train}
    part, images = next((part, images) for part, images in parts.items() if images is not None)
    model = source.load()
    if source.run:
        batches = source.task.batches(recipe, model, images, training=False)
    elif source.task.name == Segmentation.name:
        size = (source.transform.height, source.transform.width)
        batches = AnnotatedBatches(images, args.batch_size or 32, size, target="label_map")
    else:
        batches = Batches(images, args.batch_size or 32, source.transform)
    return lambda: _evaluate(model, source, batches, part, label_smoothing, data, args)


def _published(source):
    """The published figures of a checkpoint, if it is scored at the image size for which they were published."""
    checkpoint = source.checkpoint
    if not checkpoint or source.transform.height != checkpoint.image_size:
        return None
    if checkpoint.miou:
        return {"miou": checkpoint.miou / 100}
    if not checkpoint.top1:
        return None
    return {"accuracy": checkpoint.top1 / 100, "top5_accuracy": checkpoint.top5 and checkpoint.top5 / 100}


def _evaluate(model, source, batches, part, label_smoothing, data, args):
    task, count, published = source.task, len(batches.images), _published(source)
    with backend_errors():
        scores, predictions = task.test(model, batches, label_smoothing, verbose=0 if args.json else "auto")
    if args.output:
        Path(args.output).mkdir(parents=True)
        task.draw(Run(args.output), batches.images, predictions, part)
    if args.json:
        facts = {"part": part, "images": count, **scores, "published": published}
        left_out = {"skipped": [str(path) for path in data.skipped], "bad_records": data.bad_records}
        print(json.dumps({**facts, **left_out}, indent=2))
        return
    print(
        f"{count} images ({part}): {_in_words(scores, len(batches.images.class_names))}"
        + (f"; {len(data.skipped)} unreadable skipped" if data.skipped else "")
        + (f"; {len(data.bad_records)} unusable records left out" if data.bad_records else "")
    )
    if published and "miou" in published:
        print(f"published, on ADE20K's 2000 validation images: mIoU {published['miou']:.4f}")
    elif published:
        top5 = f", top-5 {published['top5_accuracy']:.4f}" if published["top5_accuracy"] else ""
        print(f"published, on ImageNet-1k's 50000 validation images: accuracy {published['accuracy']:.4f}{top5}")
    classes = sorted(scores["classes"], key=lambda one: one[task.class_score])
    width = max(len(one["name"]) for one in classes[:SHOWN])
    for one in classes[:SHOWN]:
        print(f"{one['name']:{width}}  {one[task.class_score]:.4f}  of {one[task.counted]}")
    if len(classes) > SHOWN:
        print(f"{len(classes) - SHOWN} more classes are at least as accurate; --json lists them")


def _in_words(scores, class_count):
    """The scores of all images in one line, the loss last. With five classes or fewer, the top-5 accuracy is 1."""
    numbers = {name: score for name, score in scores.items() if isinstance(score, float) and name != "loss"}
    if class_count <= 5:
        numbers.pop("top5_accuracy", None)
    words = [f"{SPOKEN.get(name, name.replace('_', ' '))} {score:.4f}" for name, score in numbers.items()]
    return ", ".join([*words, *([f"loss {scores['loss']:.4f}"] if "loss" in scores else [])])
