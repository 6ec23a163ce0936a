"""Prints the path from ResNet to ConvNeXt, step by step: what changes, multiply-accumulates, parameters, accuracy.

Multiply-accumulates (MACs) and parameters are counted on the networks; accuracy and GFLOPs are the paper's. --train
trains the path in miniature instead: every step's network, narrow, on small images, by one recipe.
"""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from keras_convnext.cli.arguments import INTERRUPTED, positive
from keras_convnext.data import load_data, with_validation
from keras_convnext.data.load import is_name
from keras_convnext.extras import require
from keras_convnext.models import roadmap
from keras_convnext.profiling.roadmap import draw_path, path_rows
from keras_convnext.training import RECIPES, Recipe, Run
from keras_convnext.training import roadmap as experiment
from keras_convnext.training.run import new_run_path, refuse_existing

SETTINGS = ("data", "regime", "steps", "seeds", "width_divisor", "recipe")
"""What an experiment's config.json has."""


def add_arguments(parser):
    parser.add_argument(
        "--regime",
        choices=roadmap.REGIMES,
        default="resnet50",
        help="where the path begins: resnet50 leads to ConvNeXt-T, resnet200 to ConvNeXt-B (default: resnet50)",
    )
    parser.add_argument("--out", metavar="PICTURE.png", help="draw the paper's Figure 2 anew")
    parser.add_argument("--json", action="store_true", help="print JSON")
    train = parser.add_argument_group("the path in miniature")
    train.add_argument("--train", action="store_true", help="train every step's network")
    train.add_argument("--data", default="digits", help="`digits`, FILE.npz, FOLDER or tfds:NAME (default: digits)")
    train.add_argument("--size", type=positive, default=32, help="side to resize images to, 32 or more (default: 32)")
    train.add_argument("--width-divisor", type=positive, default=4, help="what widths are divided by (default: 4)")
    train.add_argument("--steps", help="names with commas between (default: all)")
    train.add_argument("--seeds", type=positive, default=1, help="trainings of each step (default: 1)")
    budget = train.add_mutually_exclusive_group()
    budget.add_argument("--epochs", type=positive, help="of each training (default: 3)")
    budget.add_argument("--minutes", type=positive, help="for all of it: as many epochs as go into them")
    train.add_argument("--output", help="the folder, new (default: a new one under runs/)")
    train.add_argument("--resume", metavar="FOLDER", help="go on with one where it was interrupted or killed")


def prepare(args):
    if args.resume:
        return _prepare_resumed(args)
    if args.train:
        return _prepare_training(args)
    if args.out:
        _check_picture(args.out)
    return lambda: _show(args.regime, args.out, args.json)


def _check_picture(path):
    require("matplotlib", extra="cli")
    if not Path(path).absolute().parent.is_dir():
        raise ValueError(f"{Path(path).parent}: no such folder.")
    if Path(path).suffix.lower() not in (".png", ".svg", ".pdf"):
        raise ValueError(f"{path}: expected a name that ends in .png, .svg or .pdf.")


# === The path as it was published


def _show(regime, out, as_json):
    rows = path_rows(regime)
    if out:
        draw_path(rows, regime, out)
    if as_json:
        print(json.dumps({"regime": regime, "steps": rows}, indent=2))
        return
    width = max(len(row["change"]) for row in rows)
    print(f"{'step':22} {'change':{width}} {'GMACs':>7} {'paper':>6} {'parameters':>12}  top-1, paper")
    for row in rows:
        top1 = f"{row['top1']:.2f}" + ("" if row["deviation"] is None else f" ± {row['deviation']:.2f}")
        mark = "" if row["adopted"] else "  (aside)"
        print(
            f"{row['step']:22} {row['change']:{width}} {row['macs'] / 1e9:7.2f} {row['gflops']:6.2f} "
            f"{row['params']:12,}  {top1}{mark}"
        )


# === The path in miniature


def _prepare_training(args):
    require("matplotlib", extra="cli")
    if args.size < roadmap.STRIDE:
        raise ValueError(f"--size: the networks take {roadmap.STRIDE} pixels or more. Received: {args.size}")
    steps = tuple(args.steps.split(",")) if args.steps else experiment.STEPS
    unknown = [step for step in steps if step not in experiment.STEPS]
    if unknown:
        raise ValueError(f"--steps: unknown {', '.join(unknown)}. Expected some of {', '.join(experiment.STEPS)}.")
    for step in steps:  # refuses a width that does not divide
        roadmap.narrowed(roadmap.describe(step, args.regime), args.width_divisor)
    if args.output:
        refuse_existing(args.output)
    recipe = replace(RECIPES["small_images"], image_size=(args.size, args.size), layer_scale_init_value=None)
    recipe = recipe.lasting(args.epochs or 3)
    data = with_validation(load_data(args.data), recipe.seed)
    recipe.dataset(data.train).close()  # refuses images that it is not for
    source = args.data if is_name(args.data) else str(Path(args.data).resolve())
    settings = {
        "data": source,
        "regime": args.regime,
        "steps": steps,
        "seeds": args.seeds,
        "width_divisor": args.width_divisor,
    }

    def work():
        epochs = _epochs_in(args.minutes, settings, data, recipe) if args.minutes else recipe.epochs
        if not epochs:
            print(f"keras-convnext roadmap: --minutes {args.minutes} does not hold one epoch.", file=sys.stderr)
            return 2
        lasting = recipe.lasting(epochs)
        stem = Path(args.data.replace(":", "-")).stem
        folder = Run.create(args.output or new_run_path(f"roadmap-{stem}"), {**settings, "recipe": asdict(lasting)})
        return _train(folder, settings, data, lasting, args.json)

    return work


def _prepare_resumed(args):
    folder = Run(args.resume)
    config = folder.read_json("config.json")
    missing = set(SETTINGS) - set(config if isinstance(config, dict) else ())
    if missing:
        raise ValueError(f"{args.resume}: not a folder of `roadmap --train`: its config.json has no {min(missing)}.")
    recipe = Recipe.from_config(config["recipe"])
    data = with_validation(load_data(config["data"]), recipe.seed)
    return lambda: _train(folder, config, data, recipe, args.json)


def _epochs_in(minutes, settings, data, recipe):
    """How many epochs of all trainings go into a time, by a few batches of each step's network."""
    print(f"timing {len(settings['steps'])} networks", file=sys.stderr)
    seconds = sum(
        experiment.seconds_an_epoch(step, settings["regime"], data, recipe, settings["width_divisor"])
        for step in settings["steps"]
    )
    epochs = int(60 * minutes / (seconds * settings["seeds"]))
    print(f"an epoch of all: {seconds:.0f} s; {epochs} epochs, {settings['seeds']} seeds", file=sys.stderr)
    return epochs


def _train(folder, settings, data, recipe, as_json):
    """Step by step, seed by seed; a whole path for the first seed comes before the second."""
    steps, seeds = settings["steps"], settings["seeds"]
    found = {step: [] for step in steps}
    try:
        for seed in range(seeds):
            for number, step in enumerate(steps):
                print(f"seed {seed + 1} of {seeds}, step {number + 1} of {len(steps)}: {step}", file=sys.stderr)
                found[step].append(
                    experiment.train_step(
                        step, seed, folder.path, data, recipe, settings["regime"], settings["width_divisor"]
                    )
                )
    except KeyboardInterrupt:
        print(f"\nInterrupted. Go on with: keras-convnext roadmap --resume {folder.path}", file=sys.stderr)
        return INTERRUPTED
    results = experiment.summarize(found, settings["regime"])
    folder.write_json("results.json", results)
    folder.write("roadmap.png", lambda path: experiment.draw_miniature(results, path))
    if as_json:
        print(json.dumps(results, indent=2))
        return 0
    print(f"{'step':22} {'accuracy, %':>16} {'paper, %':>9} {'images/s':>9}")
    for row in results["steps"]:
        ours = f"{100 * row['mean']:.2f}" + (f" ± {100 * row['deviation']:.2f}" if row["deviation"] else "")
        print(f"{row['step']:22} {ours:>16} {row['top1']:9.2f} {row['images_per_second']:9.0f}")
    print(_verdict(results, recipe.epochs))
    print(folder.path)
    return 0


def _verdict(results, epochs):
    """What the experiment says about the paper's order of the steps, and what it cannot."""
    if results["rank_correlation"] is None:
        return "Too few steps for a rank correlation: four or more are needed."
    low, high = results["interval"]
    says = "says nothing about the order" if low <= 0 <= high else "agrees with it" if low > 0 else "reverses it"
    return (
        f"Rank correlation with the paper's accuracies: {results['rank_correlation']:.2f}, 95 % interval {low:.2f} to "
        f"{high:.2f}: this {says}. The paper's are of wide networks, 224 pixels and 300 epochs, these of narrow ones "
        f"and {epochs} epochs."
    )
