"""Trains a ConvNeXt on images: the bundled digits, an .npz file, a folder with a sub-folder a class, or tfds:NAME.

Leaves a run folder with model.keras (best on validation images), config.json, history.csv, metrics.json and pictures:
curves.png, confusion.png and mistakes.png. Where batch and epochs are not given, this package's own recipes choose them
by the number of training images.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import keras

from keras_convnext import __version__
from keras_convnext.checkpoints import find_preset
from keras_convnext.cli.arguments import INTERRUPTED, fraction, not_negative, positive
from keras_convnext.cli.labelled_images import load_run_data
from keras_convnext.cli.load_file import load_file
from keras_convnext.data import load_data, with_validation
from keras_convnext.data.load import is_name
from keras_convnext.extras import BACKENDS, EITHER, require
from keras_convnext.models import ConvNeXtClassifier, transfer
from keras_convnext.training import RECIPES, Recipe, Run, create_run, explain_data_size, fit, for_data_size
from keras_convnext.training.data_size import check_training
from keras_convnext.training.recipe import DTYPES
from keras_convnext.training.record import restore_state
from keras_convnext.training.run import new_run_path, read_json, refuse_existing, run_name
from keras_convnext.variants import get_variant, match, variant_for

FILES_SIZE = 224
STEMS = (1, 2, 4)
"""Strides of the stem that can be asked for; a variant may have another, as the isotropic ones do."""
SETTINGS = ("data", "variant", "stem", "checkpoint", "skip_unreadable", "recipe")
"""What a file of settings may have, and a run's config.json has; what else is in the latter are facts about the run."""


def add_arguments(parser):
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _recipes()
    parser.add_argument("--data", help="`digits`, FILE.npz, FOLDER or tfds:NAME (default: digits)")
    parser.add_argument("--variant", help="a name that `keras-convnext list` prints (default: by the images' size)")
    parser.add_argument(
        "--checkpoint", help="weights to start with: a name that `list` prints, a file, or a run folder"
    )
    parser.add_argument("--stem", type=positive, help="stride of the stem: 1, 2 or 4 (default: by the images' size)")
    parser.add_argument(
        "--size", type=positive, help=f"side to resize images to (default: the recipe's; for files {FILES_SIZE})"
    )
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        metavar="RECIPE",
        help="one of those below (default: digits for the digits, fine_tune with --checkpoint, else small_images)",
    )
    parser.add_argument("--settings", metavar="FILE.json", help="settings from a file, such as a run's config.json")
    parser.add_argument("--epochs", type=positive, help="(default: by the recipe and the number of training images)")
    parser.add_argument(
        "--batch",
        type=positive,
        help="images per update; the rate scales with it (default: by the recipe and the number of training images)",
    )
    parser.add_argument("--accumulate", type=positive, help="parts that a batch is computed in, to save memory")
    parser.add_argument("--dtype", help=f"{', '.join(DTYPES)} (default: float32)")
    parser.add_argument("--remat", action="store_true", help="compute blocks again in the backward pass: less memory")
    parser.add_argument("--ema", type=fraction, help="momentum of the weights' moving average, such as 0.9999")
    parser.add_argument("--seed", type=not_negative, help="of weights, order and validation images (default: 0)")
    parser.add_argument("--output", help="the run folder, new (default: a new one under runs/)")
    parser.add_argument("--skip-unreadable", action="store_true", help="leave out image files that cannot be read")
    parser.add_argument("--tensorboard", action="store_true", help="write logs/ for TensorBoard into the run folder")
    parser.add_argument("--resume", metavar="RUN", help="go on with a run after its last whole epoch")


def _recipes():
    """The recipes with a line on each, for --help."""
    width = max(map(len, RECIPES))
    lines = [
        f"  {name:{width}}  {recipe.description}: {recipe.epochs} epochs, batches of {recipe.batch_size}"
        + ("" if recipe.min_updates is None else " *")
        for name, recipe in RECIPES.items()
    ]
    return "\n".join(
        ["recipes:", *lines, "  * smaller batches and more epochs where there are few images; the others are published"]
    )


def prepare(args):
    if keras.backend.backend() not in BACKENDS:
        raise ValueError(f"Keras's {keras.backend.backend()} backend cannot train: set KERAS_BACKEND to {EITHER}.")
    require("matplotlib", extra="cli")  # for the pictures, which are drawn last
    if args.tensorboard:
        for package in ("tensorflow", "tensorboard"):
            require(package, extra="tensorboard")
    return _prepare_resumed(args) if args.resume else _prepare_new(args)


def _prepare_new(args):
    settings = _settings(args)
    if settings["variant"] and settings["checkpoint"]:
        raise ValueError("--variant: a checkpoint has one of its own; leave out one of them.")
    stems = STEMS
    if settings["variant"]:
        stems = {*STEMS, get_variant(settings["variant"]).stem_patch_size}
    if settings["stem"] and settings["stem"] not in stems:
        *first, last = map(str, sorted(stems))
        raise ValueError(
            f"--stem {settings['stem']}: expected a stride (`stem_patch_size`) of {', '.join(first)} or {last}."
        )
    if args.output:
        refuse_existing(args.output)
    source = settings["data"]
    recipe, changes = _recipe(settings["recipe"])
    replace(recipe, dtype=args.dtype or recipe.dtype)  # refused now, and not after the images were read
    keep = [name for name, given in (("batch_size", args.batch), ("epochs", args.epochs)) if given or name in changes]
    if isinstance(settings["recipe"], dict) and "base" not in settings["recipe"]:
        keep = ["batch_size", "epochs"]  # all settings were given, such as by a run's config.json
    data = load_data(source, settings["skip_unreadable"])
    shape = _image_shape(data.train, args.size, recipe.with_settings(changes).image_size)
    build, variant = _model(settings, shape)
    recipe = _changed(recipe.for_variant(variant).with_settings(changes), args, shape[:2])
    check_training(recipe, data)
    data = with_validation(data, recipe.seed)
    asked, recipe = recipe, for_data_size(recipe, len(data.train), keep)
    note = explain_data_size(asked, recipe, len(data.train))
    keras.utils.set_random_seed(recipe.seed)
    model = build(
        num_classes=len(data.class_names),
        input_shape=shape,
        data_format="channels_last",  # as the images are, whatever keras.json says
        **recipe.model_arguments,
    )
    batches = recipe.dataset(data.train)  # refuses images that it is not for, and asks for Pillow where it is needed
    recipe.compile(model, steps_per_epoch=len(batches))  # refuses rules that are not for this model
    batches.close()
    run = create_run(
        args.output or new_run_path(run_name(source, _called(settings["checkpoint"], variant))),
        model,
        data,
        recipe,
        notes={
            **settings,
            "data": source if is_name(source) else str(Path(source).resolve()),
            "checkpoint": _absolute(settings["checkpoint"]),
            "variant": None if settings["checkpoint"] else variant,
            "stem": None if settings["checkpoint"] else model.backbone.stem_patch_size,
            "keras_convnext": __version__,
        },
    )
    return lambda: _train(args, model, data, recipe, run, note=note)


def _settings(args):
    """What is to be trained, on what and how: from the command line, else from the file, else by default."""
    settings = dict.fromkeys(SETTINGS) | {"skip_unreadable": False}
    if args.settings:
        given = read_json(args.settings)
        if not isinstance(given, dict) or not set(given) & set(SETTINGS):
            raise ValueError(f"{args.settings}: expected an object with some of {', '.join(SETTINGS)}.")
        is_config = "class_names" in given
        unknown = [] if is_config else sorted(set(given) - set(SETTINGS))
        if unknown:
            raise ValueError(f"{args.settings}: no such setting: {', '.join(unknown)}. Expected {', '.join(SETTINGS)}.")
        settings |= {name: given[name] for name in SETTINGS if name in given}
        kinds = {"data": str, "variant": str, "checkpoint": str, "stem": int, "skip_unreadable": bool}
        for name, kind in kinds.items():
            if settings[name] is not None and not isinstance(settings[name], kind):
                raise ValueError(f"{args.settings}: `{name}` is a {kind.__name__}. Received: {settings[name]!r}")
    settings |= {name: value for name in SETTINGS if (value := getattr(args, name))}
    settings["data"] = settings["data"] or "digits"
    if not settings["recipe"]:
        by_source = "digits" if settings["data"] == "digits" else "small_images"
        settings["recipe"] = "fine_tune" if settings["checkpoint"] else by_source
    return settings


def _recipe(given):
    """The recipe of a name, of settings under a `base`, or of all settings; and the settings that a `base` is under."""
    if isinstance(given, str):
        given = {"base": given}
    if not isinstance(given, dict):
        raise ValueError(f"`recipe` is a name or an object. Received: {given!r}")
    changes = dict(given)
    base = changes.pop("base", None)
    if base is None and set(changes) < {"source", "epochs", "batch_size", "learning_rate", "warmup_epochs"}:
        raise ValueError(f"`recipe` needs a `base`, one of {', '.join(RECIPES)}, or all settings.")
    if base is None:
        return Recipe.from_config(changes), {}
    if not isinstance(base, str) or base not in RECIPES:
        raise ValueError(f"No such recipe: {base!r}. Expected one of {', '.join(RECIPES)}.")
    RECIPES[base].with_settings(changes)  # refused now, and not after the images were read
    return RECIPES[base], changes


def _changed(recipe, args, image_size):
    """The recipe with what the command line changes."""
    recipe = recipe.with_epochs(args.epochs or recipe.epochs)
    batch_size = args.batch or recipe.batch_size
    changes = {
        "accumulate": args.accumulate,
        "dtype": args.dtype,
        "remat": args.remat or None,
        "ema": args.ema,
        "seed": args.seed,
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    accumulate = changes.pop("accumulate", recipe.accumulate)
    recipe = replace(recipe, accumulate=1, image_size=image_size, **changes)
    return replace(recipe.at_batch_size(batch_size), accumulate=accumulate)


def _absolute(checkpoint):
    """A path that holds wherever the settings are used again; a name as it is."""
    return str(Path(checkpoint).resolve()) if checkpoint and Path(checkpoint).exists() else checkpoint


def _model(settings, shape):
    """A function that makes the model, and the name of its variant, or of what it starts with."""
    checkpoint = settings["checkpoint"]
    if not checkpoint:
        variant, stem = variant_for(max(shape[:2]))
        if settings["variant"]:
            variant, stem = settings["variant"], get_variant(settings["variant"]).stem_patch_size
        stem = settings["stem"] or stem
        return lambda **arguments: ConvNeXtClassifier.from_preset(variant, stem_patch_size=stem, **arguments), variant
    if settings["stem"]:
        raise ValueError("--stem: a checkpoint has one of its own.")
    path = Path(checkpoint)
    if not path.exists():
        variant, published = find_preset(checkpoint)
        if published is None:
            raise ValueError(f"{checkpoint}: an architecture, without weights. Give it as --variant.")
        return lambda **arguments: ConvNeXtClassifier.from_preset(checkpoint, **arguments), variant
    model = Run.open(path).load_model() if path.is_dir() else load_file(path).model
    backbone = getattr(model, "backbone", model)
    if backbone.data_format != "channels_last":
        raise ValueError(f"{checkpoint}: expected a model of channels last.")
    channels = model.input_shape[-1]
    if channels != shape[-1]:
        raise ValueError(f"{checkpoint}: takes images of {channels} channels; those of the data have {shape[-1]}.")

    def build(layer_scale_init_value=None, **arguments):  # the layer scale is the checkpoint's
        return transfer(model, **arguments)

    return build, match(backbone.get_config(), ignore=("stem_patch_size", "layer_scale_init_value"))


def _called(checkpoint, variant):
    """What a run is called by: a published checkpoint's name; of one's own, the variant, "tuned"; else the variant."""
    if not checkpoint:
        return variant
    if not Path(checkpoint).exists():
        return checkpoint
    return f"{variant or 'convnext'}-tuned"


def _prepare_resumed(args):
    given = {name: value for name, value in vars(args).items() if value is not None and value is not False}
    ignored = [name for name in given if name not in ("resume", "tensorboard", "command")]
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
    recipe.dataset(data.train).close()  # refuses images that it is not for
    model, history = restore_state(run.last_state)
    return lambda: _train(args, model, data, recipe, run, history)


def _image_shape(images, size, recipe_size):
    """`(height, width, channels)` that the model takes: `size` squared, the recipe's, or the images' own."""
    if size:
        recipe_size = (size, size)
    if images.are_files:
        return (*(recipe_size or (FILES_SIZE, FILES_SIZE)), 3)
    return (*(recipe_size or images.pixels.shape[1:3]), images.pixels.shape[-1])


def _train(args, model, data, recipe, run, history=(), note=None):
    logs = [keras.callbacks.TensorBoard(run.path / "logs")] if args.tensorboard else []
    skipped = f", {len(data.skipped)} unreadable skipped" if data.skipped else ""
    try:
        print(
            f"{run.config['variant'] or run.config['checkpoint']}: {model.count_params():,} parameters, "
            f"{len(data.class_names)} classes, "
            f"{len(data.train)} training images{skipped}, "
            f"{len(data.train) // recipe.batch_size} batches of {recipe.batch_size} an epoch, "
            f"{keras.backend.backend()} backend; run folder {run.path}"
        )
        if note:
            print(note)
        metrics = fit(model, data, recipe, run, history, callbacks=logs)
    except KeyboardInterrupt:
        print(f"\n{_what_is_left(run)}", file=sys.stderr)
        return INTERRUPTED
    except FloatingPointError as error:
        print(f"\nkeras-convnext train: {error}{_removed(run)}", file=sys.stderr)
        return 1
    except (OSError, RuntimeError) as error:
        print(f"\nkeras-convnext train: {error}. {_what_is_left(run)}", file=sys.stderr)
        return 1
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
        return f"Interrupted before the first epoch was complete: {run.path} holds no model.{_removed(run)} Start anew."
    return (
        f"Interrupted. Last complete epoch: {run.last_state / 'model.keras'}; best so far: {run.model_path}. "
        f"Go on with: keras-convnext train --resume {run.path}"
    )


def _removed(run):
    """Removes a run without an epoch, whose folder would only be in the way, and says so; else an empty text."""
    if run.last_state is not None:
        return ""
    try:
        run.remove()
    except (OSError, ValueError):
        return ""
    return " The folder was removed." if not run.path.exists() else ""
