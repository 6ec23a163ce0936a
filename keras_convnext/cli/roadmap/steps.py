"""Prints what each step changes, its multiply-accumulates, parameters and published accuracy.

Multiply-accumulates (MACs) and parameters are counted on the networks at 224 pixels. Accuracy and GFLOPs are the
paper's (arXiv:2201.03545, Tables 10 and 11).

Example:

    keras-convnext roadmap steps --regime resnet200 --output path.png
"""

import json
import sys

from keras_convnext.cli.arguments import check_new_figure
from keras_convnext.roadmap import REGIMES
from keras_convnext.roadmap.costs import path_rows
from keras_convnext.roadmap.figure import draw_path
from keras_convnext.training.interrupt import HeldInterrupt


def add_arguments(parser):
    parser.add_argument(
        "--regime",
        choices=REGIMES,
        default="resnet50",
        help="where the path starts: resnet50 leads to ConvNeXt-T, resnet200 to ConvNeXt-B (default: resnet50)",
    )
    parser.add_argument("--output", metavar="PICTURE.png", help="draw the paper's Figure 2 into this new file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def prepare(args):
    if args.output is not None:
        check_new_figure(args.output)
    return lambda: _show(args.regime, args.output, args.json)


def _show(regime, output, as_json):
    with HeldInterrupt("this step") as interrupt:  # on PyTorch, Keras swallows one while it builds a network

        def progress(line):
            interrupt.raise_if_held()
            print(line, file=sys.stderr)

        rows = path_rows(regime, progress)
    if output:
        draw_path(rows, regime, output)
    if as_json:
        print(json.dumps({"regime": regime, "steps": rows}, indent=2))
        return
    width = max(len(row["change"]) for row in rows)
    print(f"{'step':22} {'change':{width}} {'GMACs':>7} {'paper':>6} {'parameters':>12}  top-1, paper")
    for row in rows:
        deviation = row["standard_deviation"]
        top1 = f"{row['top1']:.2f}" + ("" if deviation is None else f" ± {deviation:.2f}")
        mark = "" if row["adopted"] else "  (not adopted)"
        print(
            f"{row['step']:22} {row['change']:{width}} {row['macs'] / 1e9:7.2f} {row['gflops']:6.2f} "
            f"{row['params']:12,}  {top1}{mark}"
        )
