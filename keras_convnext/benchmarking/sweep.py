"""Draws how time and cost grow with the size of the images or of the batch."""

from pathlib import Path

import numpy as np

from keras_convnext.benchmarking.packages import macs
from keras_convnext.benchmarking.turns import Timing
from keras_convnext.extras import require

STYLES = {"tensorflow": "-", "jax": "--", "torch": ":"}
LABELS = {"size": "side of the images in pixels (the axis is quadratic)", "batch": "images per step"}


def draw_sweep(timings: list[Timing], over: str, path: str | Path) -> None:
    """Draws milliseconds per step and images per second, with one colour per package and one line style per backend.

    A sweep over sizes also shows multiply-accumulates. Its horizontal axis is quadratic, so that a cost in proportion
    to the number of pixels is a straight line.

    Args:
        timings: what was measured.
        over: the field of the cases that changes: `"size"` or `"batch"`.
        path: the image file to write; an existing one is replaced.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    quantities = {
        "milliseconds per step": lambda timing: 1e3 * timing.median,
        "images per second": lambda timing: timing.case.batch / timing.median,
    }
    if over == "size":
        quantities = {"GMACs per image": lambda timing: macs(timing.case) / 1e9} | quantities
    lines: dict[str, list[Timing]] = {}
    colours: dict[tuple[str, str], str] = {}
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
