"""The path as a picture, after the paper's Figure 2."""

from keras_convnext.extras import require
from keras_convnext.models.roadmap.steps import PEERS, STEPS

COLOURS = {"2": "0.75", "2.1": "0.75", "2.2": "#7b68b0", "2.3": "#4a90b8", "2.4": "#4fa07a", "2.5": "#d9a441"}
COLOURS |= {"2.6": "#c8644a"}
"""By section of the paper: macro design, ResNeXt-ify, inverted bottleneck, large kernels, micro design."""


def draw_path(macs, regime, path):
    """Draws a bar of the published accuracy for each step, with its multiply-accumulates beside, into a picture file.

    Steps that the path does not go on from are hatched. A bar from ResNet-50 shows the deviation of three trainings.

    Args:
        macs: dict of int, by name of `STEPS`.
        regime: `"resnet50"` or `"resnet200"`.
        path: of the file to write, such as `"path.png"`.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    figure = require("matplotlib.figure", extra="cli").Figure(figsize=(8, 6.5), layout="constrained")
    axes = figure.subplots()
    names = [step.name for step in STEPS.values()] + [PEERS[regime][0]]
    published = [step.published[regime] for step in STEPS.values()] + [PEERS[regime][1]]
    places = range(len(names))
    bars = axes.barh(
        places,
        [one.top1 for one in published],
        xerr=[one.deviation or 0 for one in published],
        color=[COLOURS[step.section] for step in STEPS.values()] + ["0.9"],
        edgecolor="white",
    )
    for bar, step in zip(bars, STEPS.values(), strict=False):
        bar.set_hatch(None if step.adopted else "///")
    counts = [f"{macs[name] / 1e9:.2f}" for name in STEPS] + [f"{PEERS[regime][1].gflops:.2f}"]
    least = min(one.top1 for one in published) - 1
    for place, one, count in zip(places, published, counts, strict=True):
        axes.text(least + 0.08, place, f"{count} GMACs", va="center", fontsize=8)
        axes.text(one.top1 + 0.25, place, f"{one.top1:.1f}", va="center", fontsize=8)
    axes.set(
        yticks=list(places),
        yticklabels=names,
        xlim=(least, max(one.top1 for one in published) + 1),
        xlabel="ImageNet-1k top-1 accuracy, %, as published (arXiv:2201.03545, Tables 10 and 11)",
    )
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
