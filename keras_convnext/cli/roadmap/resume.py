"""Resumes a `keras-convnext roadmap train` that was interrupted or killed, after its last complete epoch.

Example:

    keras-convnext roadmap resume runs/cifar10-roadmap-1
"""

from pathlib import Path

from keras_convnext.cli.roadmap.train import train_and_print
from keras_convnext.extras import require
from keras_convnext.roadmap import miniature
from keras_convnext.roadmap.miniature import Miniature
from keras_convnext.training import Run


def add_arguments(parser):
    parser.add_argument("folder", metavar="FOLDER", help="the folder of `keras-convnext roadmap train`")
    parser.add_argument("--json", action="store_true", help="print JSON")


def prepare(args):
    require("matplotlib", extra="cli")
    if not args.folder:  # such as an unset shell variable, which must not stand for the current folder
        raise ValueError("expected the folder of `keras-convnext roadmap train`, got an empty name.")
    if not Path(args.folder).exists():
        raise ValueError(f"No such file or folder: {args.folder}")
    run = Run(args.folder)
    try:
        experiment = Miniature.from_config(run.read_json("config.json"))
    except ValueError as error:
        raise ValueError(f"{args.folder}: not a folder of `keras-convnext roadmap train`. {error}") from error
    data = miniature.load_images(experiment)
    return lambda: train_and_print(experiment, data, run, args.json)
