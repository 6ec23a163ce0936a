"""How cost grows with the size of the images or of the batch: a picture."""

import numpy as np

from keras_convnext.extras import require
from keras_convnext.profiling.packages import macs

STYLES = {"tensorflow": "-", "jax": "--", "torch": ":"}
LABELS = {"size": "side of the images, pixels; drawn in proportion to their number", "batch": "images a step"}


def draw_sweep(timings, over, path):
    """Draws milliseconds a step and images a second into a picture file, a colour for each package, a kind of line for
    each backend; over sizes, multiply-accumulates too. There a straight line is a cost in proportion to the pixels.

    Args:
        timings: list of `Timing`.
        over: str, the field of their cases that changes: `"size"` or `"batch"`.
        path: of the file to write.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    quantities = {
        "milliseconds a step": lambda timing: 1e3 * timing.median,
        "images a second": lambda timing: timing.case.batch / timing.median,
    }
    if over == "size":
        quantities = {"GMACs an image": lambda timing: macs(timing.case) / 1e9} | quantities
    lines, colours = {}, {}
    for timing in timings:
        lines.setdefault(str(timing.case), []).append(timing)
        colours.setdefault((timing.case.package, timing.case.form), f"C{len(colours)}")
    figure = require("matplotlib.figure", extra="cli").Figure(figsize=(4.5 * len(quantities), 4), layout="constrained")
    for axes, (quantity, value_of) in zip(figure.subplots(1, len(quantities)), quantities.items(), strict=True):
        for line in lines.values():
            case = line[0].case
            axes.plot(
                [getattr(timing.case, over) for timing in line],
                [value_of(timing) for timing in line],
                color=colours[case.package, case.form],
                linestyle=STYLES[case.backend],
                marker=".",
                label=_label(case),
            )
        axes.set(ylabel=quantity, xlim=(0, None), ylim=(0, None))
        if over == "size":
            axes.set_xscale("function", functions=(np.square, np.sqrt))
            axes.set_xticks(sorted({timing.case.size for timing in timings}))
        axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    first = timings[0].case
    fixed = f"batch {first.batch}" if over == "size" else f"{first.size} x {first.size} pixels"
    figure.suptitle(f"{first.task}, {fixed}, {first.dtype}, {first.device}")
    figure.supxlabel(LABELS[over])
    figure.savefig(path, dpi=120)


def _label(case):
    return f"{case}, {case.variant}" if case.variant else str(case)
