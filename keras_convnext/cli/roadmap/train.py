"""Trains the path in miniature: a narrow network for every step, on small images, all by one recipe.

Prints the accuracy of each step beside the paper's, and their rank correlation. The folder keeps results.json,
roadmap.png and one run folder per training. `keras-convnext roadmap resume` resumes an interrupted experiment.

Example:

    keras-convnext roadmap train --data cifar10.npz --epochs 3 --seeds 3
"""

import json
import sys

from keras_convnext.cli.arguments import FAILURES, INTERRUPTED, add_skip_unreadable, positive, sentence
from keras_convnext.extras import require
from keras_convnext.roadmap import REGIMES, miniature
from keras_convnext.roadmap.miniature import Miniature, miniature_recipe
from keras_convnext.roadmap.time_budget import epochs_within
from keras_convnext.training import Run
from keras_convnext.training.run_paths import new_run_path, refuse_existing, run_name


def add_arguments(parser):
    parser.add_argument("--data", default="digits", help="`digits`, FILE.npz, FOLDER or tfds:NAME (default: digits)")
    add_skip_unreadable(parser)
    parser.add_argument(
        "--regime", choices=REGIMES, default="resnet50", help="the ResNet at which the path starts (default: resnet50)"
    )
    parser.add_argument("--steps", help="comma-separated names of steps (default: all)")
    parser.add_argument(
        "--size", type=positive, default=32, help="side in pixels to resize images to, 32 or more (default: 32)"
    )
    parser.add_argument("--width-divisor", type=positive, default=4, help="divides the networks' widths (default: 4)")
    parser.add_argument("--seeds", type=positive, default=1, help="number of trainings per step (default: 1)")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--epochs", type=positive, default=3, help="epochs per training (default: 3)")
    budget.add_argument(
        "--minutes", type=positive, help="time for all trainings; the number of epochs is chosen to fit into it"
    )
    parser.add_argument("--output", metavar="FOLDER", help="new folder (default: one under runs/)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def prepare(args):
    require("matplotlib", extra="cli")
    experiment = Miniature(
        data=args.data,
        regime=args.regime,
        steps=miniature.TRAINED_STEPS if args.steps is None else tuple(args.steps.split(",")),
        seeds=args.seeds,
        width_divisor=args.width_divisor,
        recipe=miniature_recipe(args.size, args.epochs),
        skip_unreadable=args.skip_unreadable,
    )
    if args.output is not None:
        refuse_existing(args.output)
    data = miniature.load_images(experiment)
    experiment = experiment.for_data(data.train)
    return lambda: _start(args, experiment, data)


def _start(args, experiment, data):
    if args.minutes:
        try:
            epochs = epochs_within(60 * args.minutes, experiment, data, _progress)
        except FAILURES as error:
            print(f"\nkeras-convnext roadmap: {sentence(error)}", file=sys.stderr)
            return 1
        if not epochs:
            print(f"keras-convnext roadmap: --minutes {args.minutes} is too short for one epoch.", file=sys.stderr)
            return 2
        experiment = experiment.with_epochs(epochs)
    path = args.output or new_run_path(f"roadmap-{run_name(args.data, '')}")
    run = Run.create(path, experiment.get_config())
    return train_and_print(experiment, data, run, args.json)


def train_and_print(experiment, data, run, as_json):
    """Trains an experiment in its folder, prints the results, and returns the exit code.

    Args:
        experiment: `Miniature`.
        data: `data.ImageData`, as `miniature.load_images` returns it.
        run: `Run`, the folder.
        as_json: bool, whether to print JSON.
    """
    resume = f"Resume with: keras-convnext roadmap resume {run.path}"
    try:
        results = miniature.train(experiment, data, run, _progress)
    except KeyboardInterrupt:
        print(f"\nInterrupted. {resume}", file=sys.stderr)
        return INTERRUPTED
    except FloatingPointError as error:
        print(f"\nkeras-convnext roadmap: {error}", file=sys.stderr)
        return 1
    except FAILURES as error:
        print(f"\nkeras-convnext roadmap: {sentence(error)} {resume}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(results, indent=2))
        return 0
    print(f"{'step':22} {'accuracy, %':>16} {'paper, %':>9} {'images/s':>9}")
    for row in results["steps"]:
        deviation = row["standard_deviation"]
        ours = f"{100 * row['mean']:.2f}" + (f" ± {100 * deviation:.2f}" if deviation else "")
        print(f"{row['step']:22} {ours:>16} {row['top1']:9.2f} {row['images_per_second']:9.0f}")
    print(_verdict(results, experiment.recipe.epochs))
    print(run.path)
    return 0


def _verdict(results, epochs):
    """What the experiment says about the paper's order of the steps, and what it cannot say."""
    if results["rank_correlation"] is None:
        return "No rank correlation: it needs four steps or more, and accuracies that are not all equal."
    low, high = results["interval"]
    says = "says nothing about the order" if low <= 0 <= high else "agrees with it" if low > 0 else "reverses it"
    return (
        f"Rank correlation with the paper's accuracies: {results['rank_correlation']:.2f}, 95 % interval {low:.2f} to "
        f"{high:.2f}: this {says}. The paper trained wide networks for 300 epochs on images of 224 pixels; "
        f"these networks are narrow and were trained for {epochs} epoch{'s' if epochs > 1 else ''}."
    )


def _progress(line):
    print(line, file=sys.stderr)
