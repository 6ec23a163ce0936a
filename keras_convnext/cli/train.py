"""Trains a ConvNeXt on images: the bundled digits, an .npz file, or a folder with a sub-folder a class.

Leaves a run folder with model.keras (best on validation images), config.json, history.csv, metrics.json and curves.png.
"""

import sys
from dataclasses import asdict, replace
from pathlib import Path

import keras

from keras_convnext import __version__
from keras_convnext.cli.arguments import INTERRUPTED, positive
from keras_convnext.data import load_data
from keras_convnext.extras import require
from keras_convnext.models import ConvNeXtClassifier
from keras_convnext.training import RECIPES, Recipe, Run, fit
from keras_convnext.training.record import restore_state
from keras_convnext.training.run import new_run_path, refuse_existing
from keras_convnext.variants import get_variant

BY_IMAGE_SIZE = (
    (16, "convnext_mini", 1),
    (48, "convnext_atto", 2),
    (80, "convnext_atto", 2),
    (float("inf"), "convnext_atto", 4),
)
"""The default variant and stem stride by the longer side of the images, up to and including."""

FILES_SIZE = 224


def add_arguments(parser):
    parser.add_argument("--data", default="digits", help="`digits`, FILE.npz, or FOLDER (default: digits)")
    parser.add_argument("--variant", help="a name that `keras-convnext list` prints (default: by the images' size)")
    parser.add_argument("--stem", type=positive, help="stride of the stem: 1, 2 or 4 (default: by the images' size)")
    parser.add_argument(
        "--size", type=positive, help=f"side that images are resized to (default: {FILES_SIZE} for files)"
    )
    parser.add_argument("--recipe", choices=RECIPES, help="(default: digits for the digits, else from_scratch)")
    parser.add_argument("--epochs", type=positive, help="(default: the recipe's)")
    parser.add_argument("--batch", type=positive, help="images a step (default: the recipe's)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and validation images (default: 0)")
    parser.add_argument("--output", help="the run folder, new (default: a new one under runs/)")
    parser.add_argument("--resume", metavar="RUN", help="go on with a run after its last complete epoch")
    parser.add_argument("--skip-unreadable", action="store_true", help="leave out image files that cannot be read")


def prepare(args):
    require("matplotlib", extra="cli")  # for curves.png, which is drawn last
    return _prepare_resumed(args) if args.resume else _prepare_new(args)


def _prepare_new(args):
    if args.variant:
        get_variant(args.variant)
    if args.output:
        refuse_existing(args.output)
    data = load_data(args.data, args.skip_unreadable)
    shape = _image_shape(data.train, args.size)
    default_variant, default_stem = next(row[1:] for row in BY_IMAGE_SIZE if max(shape[:2]) <= row[0])
    variant = args.variant or default_variant
    stem = args.stem or (get_variant(variant).stem_patch_size if args.variant else default_stem)
    recipe = RECIPES[args.recipe or ("digits" if args.data == "digits" else "from_scratch")]
    recipe = replace(
        recipe.lasting(args.epochs or recipe.epochs),
        batch_size=args.batch or recipe.batch_size,
        seed=args.seed,
        image_size=shape[:2],
    )
    keras.utils.set_random_seed(args.seed)
    model = ConvNeXtClassifier.from_preset(
        variant,
        num_classes=len(data.class_names),
        input_shape=shape,
        stem_patch_size=stem,
        drop_path_rate=recipe.drop_path_rate,
    )
    config = {
        "variant": variant,
        "stem_patch_size": stem,
        "data": args.data if args.data == "digits" else str(Path(args.data).resolve()),
        "skip_unreadable": args.skip_unreadable,
        "image_shape": shape,
        "class_names": data.class_names,
        "recipe": asdict(recipe),
        "versions": {
            "keras_convnext": __version__,
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
        },
    }
    run = Run.create(args.output or new_run_path(f"{Path(args.data).stem}-{variant}"), config)
    return lambda: _train(model, data, recipe, run)


def _prepare_resumed(args):
    run = Run.open(args.resume)
    config = run.config
    recipe = Recipe(**{**config["recipe"], "image_size": tuple(config["recipe"]["image_size"])})
    if run.last_state is None:
        raise ValueError(f"{run.path}: no epoch was completed; start anew with another --output.")
    model, history = restore_state(run.last_state)
    if len(history) >= recipe.epochs:
        raise ValueError(f"{run.path}: all of its {recipe.epochs} epochs are done.")
    data = load_data(config["data"], config["skip_unreadable"])
    return lambda: _train(model, data, recipe, run, history)


def _image_shape(images, size):
    """`(height, width, channels)` that the model takes: the images' own, or `size` squared."""
    if images.are_files:
        return (size or FILES_SIZE,) * 2 + (3,)
    height, width, channels = images.pixels.shape[1:]
    return (size or height, size or width, channels)


def _train(model, data, recipe, run, history=()):
    skipped = f", {len(data.skipped)} unreadable skipped" if data.skipped else ""
    print(
        f"{run.config['variant']}: {model.count_params():,} parameters, {len(data.class_names)} classes, "
        f"{len(data.train)} training images{skipped}, {keras.backend.backend()} backend; run folder {run.path}"
    )
    try:
        metrics = fit(model, data, recipe, run, history)
    except KeyboardInterrupt:
        print(f"\n{_what_is_left(run)}", file=sys.stderr)
        return INTERRUPTED
    test = "no test images"
    if metrics["test_accuracy"] is not None:
        test = f"test accuracy {metrics['test_accuracy']:.4f}"
    print(
        f"best epoch {metrics['best_epoch']} of {metrics['epochs']}: "
        f"validation accuracy {metrics['val_accuracy']:.4f}, {test}; {metrics['seconds']:.0f} s; {run.model_path}"
    )
    return 0


def _what_is_left(run):
    if run.last_state is None:
        return "Interrupted before the first epoch was complete: no model was kept."
    return (
        f"Interrupted. Last complete epoch: {run.last_state / 'model.keras'}; best so far: {run.model_path}. "
        f"Go on with: keras-convnext train --resume {run.path}"
    )
