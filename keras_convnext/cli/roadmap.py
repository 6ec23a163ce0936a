"""Prints the path from ResNet to ConvNeXt, step by step: what changes, multiply-accumulates, parameters, accuracy.

Multiply-accumulates (MACs) and parameters are counted on the networks; accuracy and GFLOPs are the paper's. --blocks
prints and draws the blocks of ResNet, Swin Transformer and ConvNeXt instead, part by part. --train trains the path in
miniature instead: every step's network, narrow, on small images, by one recipe.
"""

import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from keras_convnext.cli.arguments import INTERRUPTED, check_picture, positive
from keras_convnext.data import load_data, with_validation
from keras_convnext.data.load import is_name
from keras_convnext.extras import require
from keras_convnext.models import roadmap
from keras_convnext.profiling.blocks import blocks, draw_blocks, totals
from keras_convnext.profiling.roadmap import draw_path, path_rows
from keras_convnext.training import RECIPES, Recipe, Run, for_data_size
from keras_convnext.training import roadmap as experiment
from keras_convnext.training.run import new_run_path, refuse_existing

SETTINGS = ("data", "regime", "steps", "seeds", "width_divisor", "recipe")
"""What an experiment's config.json has."""

NO_PICTURE = object()
"""In place of a picture's name: that none was given."""

MODES = {
    "resume": (),
    "blocks": (),
    "train": ("regime", "data", "size", "width_divisor", "steps", "seeds", "epochs", "minutes", "output"),
    "": ("regime", "out"),
}
"""What may be given beside an option that says what is to be done; beside none of them, the path is shown."""


def add_arguments(parser):
    parser.add_argument(
        "--regime",
        choices=roadmap.REGIMES,
        help="where the path begins: resnet50 leads to ConvNeXt-T, resnet200 to ConvNeXt-B (default: resnet50)",
    )
    parser.add_argument("--out", metavar="PICTURE.png", help="draw the paper's Figure 2 anew")
    parser.add_argument(
        "--blocks",
        nargs="?",
        const=NO_PICTURE,
        metavar="PICTURE.png",
        help="print the blocks of the paper's Figure 4, and draw them; needs keras-hub",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    train = parser.add_argument_group("the path in miniature")
    train.add_argument("--train", action="store_true", help="train every step's network")
    train.add_argument("--data", help="`digits`, FILE.npz, FOLDER or tfds:NAME (default: digits)")
    train.add_argument("--size", type=positive, help="side to resize images to, 32 or more (default: 32)")
    train.add_argument("--width-divisor", type=positive, help="what widths are divided by (default: 4)")
    train.add_argument("--steps", help="names with commas between (default: all)")
    train.add_argument("--seeds", type=positive, help="trainings of each step (default: 1)")
    budget = train.add_mutually_exclusive_group()
    budget.add_argument("--epochs", type=positive, help="of each training (default: 3)")
    budget.add_argument("--minutes", type=positive, help="for all of it: as many epochs as go into them")
    train.add_argument("--output", help="the folder, new (default: a new one under runs/)")
    train.add_argument("--resume", metavar="FOLDER", help="go on with one where it was interrupted or killed")


def prepare(args):
    _check_mode(args)
    if args.resume is not None:
        return _prepare_resumed(args)
    if args.blocks is not None:
        out = None if args.blocks is NO_PICTURE else args.blocks
        if out is not None:
            check_picture(out)
        require("keras_hub", extra="hub")
        return lambda: _show_blocks(out, args.json)
    if args.train:
        return _prepare_training(args)
    if args.out is not None:
        check_picture(args.out)
    return lambda: _show(args.regime or "resnet50", args.out, args.json)


def _check_mode(args):
    """Refuses an option that would be passed over."""
    given = [name for name, value in vars(args).items() if value is not None and value is not False]
    mode = next(name for name in MODES if name in given or not name)
    others = [name for name in given if name not in ("command", "json", mode, *MODES[mode])]
    if others:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in others)
        raise ValueError(f"{names}: not {f'with --{mode}' if mode else 'without --train'}.")


# === The path as it was published


def _progress(number, count, step):
    print(f"counting step {number} of {count}: {step}", file=sys.stderr)


def _show(regime, out, as_json):
    rows = path_rows(regime, _progress)
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


# === The blocks


def _show_blocks(out, as_json):
    three = blocks()
    if out is not None:
        draw_blocks(three, out)
    if as_json:
        facts = [{**asdict(block), "params": block.params, "macs": block.macs} for block in three]
        print(json.dumps({"blocks": facts}, indent=2))
        return
    for block in three:
        print(f"{block.name}, {block.channels} channels: {totals(block)}")
        for part in block.parts:
            shape = " x ".join(map(str, part.output_shape))
            print(f"  {part.label:25} {shape:18} {part.macs:12,} MACs {part.params:7,} parameters")


# === The path in miniature


def _prepare_training(args):
    require("matplotlib", extra="cli")
    regime, size = args.regime or "resnet50", args.size or roadmap.STRIDE
    source = "digits" if args.data is None else args.data
    width_divisor, seeds = args.width_divisor or 4, args.seeds or 1
    if size < roadmap.STRIDE:
        raise ValueError(f"--size: the networks take {roadmap.STRIDE} pixels or more. Received: {size}")
    steps = experiment.STEPS if args.steps is None else tuple(dict.fromkeys(args.steps.split(",")))
    unknown = [step for step in steps if step not in experiment.STEPS]
    if unknown:
        raise ValueError(f"--steps: unknown {', '.join(unknown)}. Expected some of {', '.join(experiment.STEPS)}.")
    for step in steps:  # refuses a width that does not divide
        roadmap.narrowed(roadmap.describe(step, regime), width_divisor)
    if args.output is not None:
        refuse_existing(args.output)
    recipe = replace(RECIPES["small_images"], image_size=(size, size), layer_scale_init_value=None)
    recipe = recipe.with_epochs(args.epochs or 3)
    data = with_validation(load_data(source), recipe.seed)
    recipe = for_data_size(recipe, len(data.train), keep=("epochs",))
    recipe.dataset(data.train).close()  # refuses images that it is not for
    settings = {
        "data": source if is_name(source) else str(Path(source).resolve()),
        "regime": regime,
        "steps": steps,
        "seeds": seeds,
        "width_divisor": width_divisor,
    }

    def work():
        epochs = _epochs_in(args.minutes, settings, data, recipe) if args.minutes else recipe.epochs
        if not epochs:
            print(f"keras-convnext roadmap: --minutes {args.minutes} does not hold one epoch.", file=sys.stderr)
            return 2
        lasting = recipe.with_epochs(epochs)
        stem = Path(source.replace(":", "-")).stem
        folder = Run.create(
            args.output or new_run_path(f"roadmap-{stem}"), {**settings, "recipe": lasting.get_config()}
        )
        return _train(folder, settings, data, lasting, args.json)

    return work


def _prepare_resumed(args):
    require("matplotlib", extra="cli")
    if not args.resume:  # such as of an unset shell variable; not this folder
        raise ValueError("--resume: expected a folder, got an empty name.")
    folder = Run(args.resume)
    config = folder.read_json("config.json")
    missing = set(SETTINGS) - set(config if isinstance(config, dict) else ())
    if missing:
        raise ValueError(f"{args.resume}: not a folder of `roadmap --train`: its config.json has no {min(missing)}.")
    recipe = Recipe.from_config(config["recipe"])
    data = with_validation(load_data(config["data"]), recipe.seed)
    return lambda: _train(folder, config, data, recipe, args.json)


def _epochs_in(minutes, settings, data, recipe):
    """How many epochs of all trainings go into a time, of which timing a few batches of each network is a part."""
    started = time.perf_counter()
    print(f"timing {len(settings['steps'])} networks", file=sys.stderr)
    seconds = 0.0
    for step in settings["steps"]:
        its = experiment.seconds_an_epoch(step, settings["regime"], data, recipe, settings["width_divisor"])
        print(f"{step:22} {len(data.train) / its:6.0f} images/s", file=sys.stderr)
        seconds += its
    left = 60 * minutes - (time.perf_counter() - started)
    epochs = max(0, int(left / (seconds * settings["seeds"])))
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
        print(f"\nInterrupted. {_going_on(folder)}", file=sys.stderr)
        return INTERRUPTED
    except FloatingPointError as error:
        print(f"\nkeras-convnext roadmap: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"\nkeras-convnext roadmap: {error}. {_going_on(folder)}", file=sys.stderr)
        return 1
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


def _going_on(folder):
    return f"Go on with: keras-convnext roadmap --resume {folder.path}"


def _verdict(results, epochs):
    """What the experiment says about the paper's order of the steps, and what it cannot."""
    if results["rank_correlation"] is None:
        return "No rank correlation: four steps or more are needed, and accuracies that are not all equal."
    low, high = results["interval"]
    says = "says nothing about the order" if low <= 0 <= high else "agrees with it" if low > 0 else "reverses it"
    return (
        f"Rank correlation with the paper's accuracies: {results['rank_correlation']:.2f}, 95 % interval {low:.2f} to "
        f"{high:.2f}: this {says}. The paper's are of wide networks, 224 pixels and 300 epochs, these of narrow ones "
        f"and {epochs} epoch{'s' if epochs > 1 else ''}."
    )
