"""The figures of the path: its published accuracies (arXiv:2201.03545, Figure 2), and those in miniature."""

from pathlib import Path

from keras_convnext.extras import require
from keras_convnext.roadmap.steps import PEERS, STEPS

COLOURS = {"2": "0.75", "2.1": "0.75", "2.2": "#7b68b0", "2.3": "#4a90b8", "2.4": "#4fa07a", "2.5": "#d9a441"}
COLOURS |= {"2.6": "#c8644a"}
"""The colour of a bar by section of the paper: macro design, ResNeXt-ify, inverted bottleneck, large kernels, micro
design."""


def draw_path(rows: list[dict], regime: str, path: str | Path) -> None:
    """Draws the published accuracy of each step as a bar, with its multiply-accumulates: the paper's Figure 2.

    Steps that the path does not keep are hatched. With ResNet-50, error bars show the standard deviation of three
    trainings.

    Args:
        rows: as `costs.path_rows` returns them.
        regime: `"resnet50"` or `"resnet200"`.
        path: the image file to write, such as `"path.png"`; an existing one is replaced.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    figure = require("matplotlib.figure", extra="cli").Figure(figsize=(8, 6.5), layout="constrained")
    axes = figure.subplots()
    peer, its = PEERS[regime]
    bars = [
        *(
            (row["name"], row["top1"], row["standard_deviation"], row["macs"] / 1e9, COLOURS[row["section"]])
            for row in rows
        ),
        (peer, its.top1, its.standard_deviation, its.gflops, "0.9"),
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


def draw_miniature(results: dict, path: str | Path) -> None:
    """Draws the accuracy of each step in miniature, one dot per seed and their mean, beside the paper's accuracy.

    Args:
        results: as `miniature.summarize` returns them.
        path: the image file to write; an existing one is replaced.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    figure = require("matplotlib.figure", extra="cli").Figure(figsize=(9, 5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    rows = results["steps"]
    places = range(len(rows))
    for place, row in zip(places, rows, strict=True):
        ours = [100 * accuracy for accuracy in row["accuracies"]]
        left.plot(ours, [place] * len(ours), ".", color="0.6")
    left.plot([100 * row["mean"] for row in rows], places, "o", color="#c8644a")
    right.plot([row["top1"] for row in rows], places, "o", color="#4a90b8")
    left.set(yticks=list(places), yticklabels=[STEPS[row["step"]].name for row in rows])
    left.set_xlabel("in miniature: accuracy, %")
    right.set_xlabel("the paper: ImageNet-1k top-1, %")
    left.invert_yaxis()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
