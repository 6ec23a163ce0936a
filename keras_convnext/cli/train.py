"""Trains a ConvNeXt on images: the bundled digits, an .npz file, or a folder with a sub-folder a class.

Leaves a run folder with model.keras (best on validation images), config.json, history.csv, metrics.json and curves.png.
"""

import sys
from dataclasses import replace
from pathlib import Path

import keras

from keras_convnext import __version__
from keras_convnext.cli.arguments import INTERRUPTED, not_negative, positive
from keras_convnext.cli.labelled_images import load_run_data
from keras_convnext.data import load_data, with_validation
from keras_convnext.extras import require
from keras_convnext.models import ConvNeXtClassifier
from keras_convnext.training import RECIPES, Recipe, Run, create_run, fit
from keras_convnext.training.record import restore_state
from keras_convnext.training.run import new_run_path, refuse_existing
from keras_convnext.variants import get_variant, variant_for

FILES_SIZE = 224


def add_arguments(parser):
    parser.add_argument("--data", help="`digits`, FILE.npz, or FOLDER (default: digits)")
    parser.add_argument("--variant", help="a name that `keras-convnext list` prints (default: by the images' size)")
    parser.add_argument("--stem", type=positive, help="stride of the stem: 1, 2 or 4 (default: by the images' size)")
    parser.add_argument("--size", type=positive, help=f"side to resize images to (default: for files {FILES_SIZE})")
    parser.add_argument("--recipe", choices=RECIPES, help="(default: digits for the digits, else from_scratch)")
    parser.add_argument("--epochs", type=positive, help="(default: the recipe's)")
    parser.add_argument("--batch", type=positive, help="images a step (default: the recipe's)")
    parser.add_argument("--seed", type=not_negative, help="of weights, order and validation images (default: 0)")
    parser.add_argument("--output", help="the run folder, new (default: a new one under runs/)")
    parser.add_argument("--skip-unreadable", action="store_true", help="leave out image files that cannot be read")
    parser.add_argument("--resume", metavar="RUN", help="go on with a run after its last whole epoch")


def prepare(args):
    require("matplotlib", extra="cli")  # for curves.png, which is drawn last
    return _prepare_resumed(args) if args.resume else _prepare_new(args)


def _prepare_new(args):
    if args.variant:
        get_variant(args.variant)
    if args.output:
        refuse_existing(args.output)
    source, seed = args.data or "digits", args.seed or 0
    recipe = RECIPES[args.recipe or ("digits" if source == "digits" else "from_scratch")]
    data = with_validation(load_data(source, args.skip_unreadable), seed)
    shape = _image_shape(data.train, args.size)
    variant, stem = variant_for(max(shape[:2]))
    if args.variant:
        variant, stem = args.variant, get_variant(args.variant).stem_patch_size
    recipe = replace(
        recipe.lasting(args.epochs or recipe.epochs),
        batch_size=args.batch or recipe.batch_size,
        seed=seed,
        image_size=shape[:2],
    )
    recipe.dataset(data.train)  # asks for Pillow where images are to be resized
    keras.utils.set_random_seed(seed)
    model = ConvNeXtClassifier.from_preset(
        variant,
        num_classes=len(data.class_names),
        input_shape=shape,
        stem_patch_size=args.stem or stem,
        drop_path_rate=recipe.drop_path_rate,
    )
    run = create_run(
        args.output or new_run_path(f"{Path(source).resolve().stem}-{variant}"),
        model,
        data,
        recipe,
        notes={
            "variant": variant,
            "data": source if source == "digits" else str(Path(source).resolve()),
            "skip_unreadable": args.skip_unreadable,
            "keras_convnext": __version__,
        },
    )
    return lambda: _train(model, data, recipe, run)


def _prepare_resumed(args):
    given = {name: value for name, value in vars(args).items() if value is not None and value is not False}
    ignored = [name for name in given if name not in ("resume", "command")]
    if ignored:
        raise ValueError(f"--resume goes on with a run as it was started; leave out {', '.join(ignored)}.")
    run = Run.open(args.resume)
    if (run.path / "metrics.json").is_file():
        raise ValueError(f"{run.path}: this run is complete.")
    if run.last_state is None:
        raise ValueError(f"{run.path}: no epoch was completed; start anew with another --output.")
    config = run.config
    recipe = Recipe.from_config(config["recipe"])
    data = with_validation(load_run_data(config), recipe.seed)
    if len(data.train) != config["training_images"]:
        raise ValueError(
            f"{config['data']}: {len(data.train)} training images; the run began with {config['training_images']}."
        )
    model, history = restore_state(run.last_state)
    return lambda: _train(model, data, recipe, run, history)


def _image_shape(images, size):
    """`(height, width, channels)` that the model takes: the images' own, or `size` squared."""
    if images.are_files:
        return (size or FILES_SIZE,) * 2 + (3,)
    height, width, channels = images.pixels.shape[1:]
    return (size or height, size or width, channels)


def _train(model, data, recipe, run, history=()):
    skipped = f", {len(data.skipped)} unreadable skipped" if data.skipped else ""
    try:
        print(
            f"{run.config['variant']}: {model.count_params():,} parameters, {len(data.class_names)} classes, "
            f"{len(data.train)} training images{skipped}, "
            f"{len(recipe.dataset(data.train))} batches of {recipe.batch_size} an epoch, "
            f"{keras.backend.backend()} backend; run folder {run.path}"
        )
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
        return f"Interrupted before the first epoch was complete: {run.path} holds no model. Start anew."
    return (
        f"Interrupted. Last complete epoch: {run.last_state / 'model.keras'}; best so far: {run.model_path}. "
        f"Go on with: keras-convnext train --resume {run.path}"
    )
