"""Trains a ConvNeXt on images: the bundled digits, an .npz file, a folder with a sub-folder per class, or tfds:NAME.

With --task detection it trains a detector on images with boxes, and with --task segmentation UPerNet on images with
label maps: COCO's files, folders like ADE20K's, or scenes made of the bundled digits. The command writes a run folder
with model.keras (the best model on the validation images), config.json, history.csv, metrics.json, curves.png and
pictures of the model's predictions. Without --batch and --epochs, this package's own recipes choose both by the number
of training images.

Examples:

    keras-convnext train --data folder --size 64
    keras-convnext train --data folder --checkpoint convnext_tiny_22k_224
    keras-convnext train --task detection --data annotations/train.json --size 512
    keras-convnext train --resume runs/folder-convnext_atto-1
"""

import contextlib
import sys
from dataclasses import fields, replace

import keras

from keras_convnext.cli.arguments import (
    FAILURES,
    INTERRUPTED,
    add_skip_unreadable,
    backend_errors,
    fraction,
    not_negative,
    positive,
    rate,
    sentence,
)
from keras_convnext.extras import require
from keras_convnext.models import backbone_of
from keras_convnext.preprocessing.augmentation.augmentation import UnknownStepError
from keras_convnext.training import RECIPES, Experiment
from keras_convnext.training.engine import DISTRIBUTIONS, WriterError
from keras_convnext.training.recipe import DTYPES
from keras_convnext.training.resume import prepare_resumed
from keras_convnext.training.tasks import TASKS
from keras_convnext.training.tasks.detection import DETECTORS

WHILE_RESUMING = ("command", "resume", "tensorboard", "epochs", "distribute")
"""The options that are allowed with --resume."""


def add_arguments(parser):
    parser.epilog = _recipes()
    what = parser.add_argument_group("model and data")
    what.add_argument("--task", choices=TASKS, help="what is trained (default: classification)")
    what.add_argument(
        "--data",
        help="`digits`, FILE.npz, FOLDER of images or of shards, or tfds:NAME; for detection and segmentation "
        "`digit_scenes`, stamps:FOLDER, COCO's FILE.json or FOLDER (default: digits or digit_scenes)",
    )
    what.add_argument("--detector", choices=DETECTORS, help="for detection: the detector (default: retinanet)")
    what.add_argument(
        "--hidden-size",
        type=positive,
        metavar="CHANNELS",
        help="for segmentation: channels of UPerNet (default: 512; less for variants narrower than convnext_tiny)",
    )
    what.add_argument(
        "--variant", help="a name that `keras-convnext list` prints (default: chosen by the size of the images)"
    )
    what.add_argument("--checkpoint", help="weights to start from: a name that `list` prints, a file, or a run folder")
    what.add_argument(
        "--freeze", type=not_negative, metavar="N", help="freeze the stem and the first N stages of the checkpoint"
    )
    what.add_argument(
        "--stem",
        type=positive,
        help="stride of the stem: 1, 2 or 4 (default: chosen by the size of the images, also with --variant)",
    )
    what.add_argument(
        "--size",
        type=positive,
        help="side to resize images to (default: the recipe's; for files "
        + ", ".join(f"{task.files_size} for {name}" for name, task in TASKS.items())
        + ")",
    )
    add_skip_unreadable(what)
    how = parser.add_argument_group("training settings")
    how.add_argument(
        "--recipe",
        choices=RECIPES,
        metavar="RECIPE",
        help="a recipe listed below (default: fine_tune with --checkpoint, digits for the digits, else small_images; "
        "for other tasks the one of their name)",
    )
    how.add_argument(
        "--epochs",
        type=positive,
        help="number of epochs in all (default: chosen by the recipe and the number of images)",
    )
    how.add_argument(
        "--batch",
        type=positive,
        dest="batch_size",
        metavar="BATCH",
        help="images per update; the learning rate scales with it (default: chosen like --epochs)",
    )
    how.add_argument(
        "--lr", type=rate, dest="learning_rate", metavar="LR", help="peak learning rate; not scaled with the batch size"
    )
    how.add_argument("--drop-path", type=fraction, dest="drop_path_rate", metavar="RATE", help="stochastic depth rate")
    how.add_argument("--mixup", type=rate, metavar="ALPHA", help="concentration of MixUp, such as 0.8; 0 for none")
    how.add_argument("--cutmix", type=rate, metavar="ALPHA", help="concentration of CutMix, such as 1; 0 for none")
    how.add_argument("--ema", type=fraction, help="momentum of the moving average of the weights, such as 0.9999")
    how.add_argument(
        "--seed", type=not_negative, help="random seed for weights, image order and validation split (default: 0)"
    )
    how.add_argument("--accumulate", type=positive, help="gradient accumulation: number of microbatches per batch")
    how.add_argument("--dtype", help=f"{', '.join(DTYPES)} (default: float32)")
    how.add_argument(
        "--remat", action="store_true", help="recompute blocks in the backward pass: less memory, more time"
    )
    how.add_argument(
        "--distribute",
        choices=DISTRIBUTIONS,
        help="data: train on all devices and in all processes of the launcher, each with a share of each batch; fsdp: "
        "split the weights and the optimizer's state over them, too (JAX)",
    )
    how.add_argument("--settings", metavar="FILE.json", help="settings from a file, such as a run's config.json")
    run = parser.add_argument_group("run folder")
    run.add_argument("--output", help="new run folder (default: one under runs/)")
    run.add_argument("--tensorboard", action="store_true", help="write logs/ for TensorBoard into the run folder")
    run.add_argument(
        "--resume",
        metavar="RUN",
        help="resume a run after its last complete epoch; with more --epochs, extend a complete run",
    )


def _recipes():
    """The recipes with a line on each, for --help."""
    width = max(map(len, RECIPES))
    lines = [
        f"  {name:{width}}  {recipe.description}: {recipe.epochs} epochs, batches of {recipe.batch_size}"
        + ("" if recipe.min_updates is None else " *")
        for name, recipe in RECIPES.items()
    ]
    return "\n".join(
        ["recipes:", *lines, "  * smaller batches and more epochs for few images; the other recipes are published ones"]
    )


def prepare(args):
    require("matplotlib", extra="cli")  # for the figures, which are drawn last
    given = {name: value for name, value in vars(args).items() if value is not None and value is not False}
    if args.resume:
        ignored = [name for name in given if name not in WHILE_RESUMING]
        if ignored:
            names = ", ".join(f"`{name}`" for name in ignored)
            raise ValueError(f"--resume continues a run with its own settings; leave out {names}.")
        with backend_errors(), _own_steps_in_python(f"Experiment.resume({args.resume!r})"):
            training = prepare_resumed(args.resume, args.epochs, args.tensorboard or None, args.distribute)
    else:
        with _own_steps_in_python(f"Experiment.from_config({args.settings!r}).run()"):
            experiment = Experiment.from_config(args.settings) if args.settings else None
        names = {one.name for one in fields(Experiment)}
        settings = {name: value for name, value in given.items() if name in names}
        experiment = Experiment(**settings) if experiment is None else replace(experiment, **settings)
        with backend_errors():
            training = experiment.build()
    try:
        run = training.open_run()
    except WriterError:  # process 0 says why
        return lambda: 1
    return lambda: _train(training, run)


@contextlib.contextmanager
def _own_steps_in_python(call):
    """Adds to the error about an unknown step the call that trains with it: this command imports no user's module."""
    try:
        yield
    except UnknownStepError as error:
        raise ValueError(f"{error} In Python, import it and call `{call}`.") from error


def _train(training, run):
    try:
        if training.engine.writes:
            print(_what_is_trained(training, run), *training.notes, sep="\n", flush=True)
        metrics = training.fit(run).metrics
    except KeyboardInterrupt:
        print(f"\n{_what_is_left(run)}", file=sys.stderr)
        return INTERRUPTED
    except FloatingPointError as error:
        print(f"\nkeras-convnext train: {error}{_removed(run)}", file=sys.stderr)
        return 1
    except WriterError:  # process 0 says why
        return 1
    except FAILURES as error:
        print(f"\nkeras-convnext train: {sentence(error)} {_what_is_left(run)}", file=sys.stderr)
        return 1
    if not training.engine.writes:
        return 0
    score = training.task.score
    test = "no test images"
    if metrics[f"test_{score}"] is not None:
        test = f"test {score} {metrics[f'test_{score}']:.4f}"
    seconds = f"trained in {metrics['seconds']:.0f} s"
    print(
        f"best epoch {metrics['best_epoch']} of {metrics['epochs']}: "
        f"validation {score} {metrics[f'val_{score}']:.4f}, {test}; {seconds}; {run.model_path}"
    )
    return 0


def _what_is_trained(training, run):
    """The model, the images and the batches, in one line."""
    data, recipe = training.data, training.recipe
    height, width, _ = run.config["image_shape"]
    backbone = backbone_of(training.model)
    stem = f", stem of stride {backbone.stem_patch_size}" if backbone else ""
    images = f"{len(data.train)} images to train, {len(data.validation)} to validate"
    if training.samples_validation:
        images = f"{len(data.train) + len(data.validation)} images: {images.replace(' images', '', 1)}"
    skipped = f", {len(data.skipped)} unreadable skipped" if data.skipped else ""
    skipped += f", {len(data.bad_records)} unusable records left out" if data.bad_records else ""
    distributed = f"{training.engine}: " if training.settings.get("distribute") else ""
    return (
        f"{distributed}{training.name}{stem}, images of {height} x {width} pixels: "
        f"{training.model.count_params():,} parameters, "
        f"{len(data.class_names)} classes, {images}{skipped}; "
        f"{len(data.train) // recipe.batch_size} batches of {recipe.batch_size} per epoch, "
        f"{keras.backend.backend()} backend; run folder {run.path}"
    )


def _what_is_left(run):
    if run.last_state is None:
        return (
            f"Interrupted before the first epoch was complete: {run.path} holds no model.{_removed(run)} Start again."
        )
    return (
        f"Interrupted. Last complete epoch: {run.last_state / 'model.keras'}; best so far: {run.model_path}. "
        f"Resume with: keras-convnext train --resume {run.path}"
    )


def _removed(run):
    """Removes a run without a complete epoch, and returns a sentence about it; otherwise returns an empty text."""
    if run.last_state is not None:
        return ""
    try:
        run.remove()
    except (OSError, ValueError):
        return ""
    return " The folder was removed." if not run.path.exists() else ""
