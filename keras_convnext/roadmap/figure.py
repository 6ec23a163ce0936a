"""The path from ResNet to ConvNeXt in numbers, and as a picture after the paper's Figure 2 (arXiv:2201.03545)."""

from collections.abc import Callable

from keras_convnext.extras import require
from keras_convnext.models.roadmap import PEERS, STEPS, build
from keras_convnext.profiling.profile import profile

COLOURS = {"2": "0.75", "2.1": "0.75", "2.2": "#7b68b0", "2.3": "#4a90b8", "2.4": "#4fa07a", "2.5": "#d9a441"}
COLOURS |= {"2.6": "#c8644a"}
"""By section of the paper: macro design, ResNeXt-ify, inverted bottleneck, large kernels, micro design."""


def path_rows(regime="resnet50", progress: Callable[[int, int, str], None] = lambda number, count, step: None):
    """What each step costs, counted, beside what the paper has for it.

    Args:
        regime: `"resnet50"` or `"resnet200"`. Defaults to `"resnet50"`.
        progress: function of the number of a step from 1, how many there are, and its name, called before the network
            of each is counted, which takes some seconds. Defaults to one that does nothing.

    Returns:
        A list of dicts, a step each: `step`, `name`, `section`, `change`, `macs` and `params` (both whole numbers, at
        224 pixels), `gflops`, `top1` and `deviation` (the paper's), `adopted`.
    """
    rows = []
    for number, (step, one) in enumerate(STEPS.items(), start=1):
        progress(number, len(STEPS), step)
        counts, published = profile(build(step, regime)), one.published[regime]
        rows.append(
            {
                "step": step,
                "name": one.name,
                "section": one.section,
                "change": one.change,
                "macs": counts.macs,
                "params": counts.params,
                "gflops": published.gflops,
                "top1": published.top1,
                "deviation": published.deviation,
                "adopted": one.adopted,
            }
        )
    return rows


def draw_path(rows, regime, path):
    """Draws a bar of the published accuracy for each step, with its multiply-accumulates beside, into a picture file.

    Steps that the path does not go on from are hatched. A bar from ResNet-50 shows the deviation of three trainings.

    Args:
        rows: what `path_rows` returns.
        regime: `"resnet50"` or `"resnet200"`.
        path: of the file to write, such as `"path.png"`.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    figure = require("matplotlib.figure", extra="cli").Figure(figsize=(8, 6.5), layout="constrained")
    axes = figure.subplots()
    peer, its = PEERS[regime]
    bars = [
        *((row["name"], row["top1"], row["deviation"], row["macs"] / 1e9, COLOURS[row["section"]]) for row in rows),
        (peer, its.top1, its.deviation, its.gflops, "0.9"),
    ]
    names, accuracies, deviations, gmacs, colours = zip(*bars, strict=True)
    places = range(len(bars))
    drawn = axes.barh(places, accuracies, xerr=[one or 0 for one in deviations], color=colours, edgecolor="white")
    for bar, row in zip(drawn, rows, strict=False):
        bar.set_hatch(None if row["adopted"] else "///")
    least = min(accuracies) - 1
    for place, accuracy, count in zip(places, accuracies, gmacs, strict=True):
        box = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1}
        axes.text(least + 0.1, place, f"{count:.2f} GMACs", va="center", fontsize=8, bbox=box)
        axes.text(accuracy + 0.25, place, f"{accuracy:.2f}", va="center", fontsize=8)
    axes.set(
        yticks=list(places),
        yticklabels=names,
        xlim=(least, max(accuracies) + 1),
        xlabel="ImageNet-1k top-1 accuracy, %, as published (arXiv:2201.03545, Tables 10 and 11)",
    )
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
