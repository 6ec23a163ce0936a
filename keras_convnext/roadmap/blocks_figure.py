"""The figure of the blocks: side by side, part by part, after the paper's Figure 4 (arXiv:2201.03545)."""

import itertools
from pathlib import Path

from keras_convnext.extras import require
from keras_convnext.roadmap.blocks import Block, totals

HEIGHTS = {"linear": 1.0, "product": 1.0}
"""Heights of boxes in the figure. Other parts are written beside the arrow, with a height of 0.6."""
COLOURS = {"linear": "#dbe9f4", "product": "#f4dfdb", "norm": "#4a90b8", "activation": "#c8644a", "bias": "0.4"}


def draw_blocks(drawn: list[Block], path: str | Path) -> None:
    """Draws blocks side by side, with shapes, multiply-accumulates and parameters.

    Args:
        drawn: blocks, such as `blocks()` returns.
        path: the image file to write, such as `"blocks.png"`; an existing one is replaced.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    figure = require("matplotlib.figure", extra="cli").Figure(figsize=(4.6 * len(drawn), 7.5), layout="constrained")
    tallest = max(_ends(block)[-1] for block in drawn)
    for axes, block in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
        axes.set(xlim=(-0.12, 1.1), ylim=(tallest + 0.5, -0.8))
        axes.axis("off")
        axes.set_title(f"{block.name} block, {block.channels}-d\n{totals(block)}", fontsize=10)
        _draw_block(axes, block)
    figure.savefig(path, dpi=120)


def _ends(block):
    """The top of the first part and the bottom of every part, from the top of the figure."""
    return list(itertools.accumulate((HEIGHTS.get(part.kind, 0.6) for part in block.parts), initial=0.0))


def _draw_block(axes, block):
    centre, half = 0.22, 0.17
    ends = _ends(block)
    axes.annotate("", (centre, ends[-1] + 0.4), (centre, -0.5), arrowprops={"arrowstyle": "->", "color": "0.3"})
    for part, (top, bottom) in zip(block.parts, itertools.pairwise(ends), strict=True):
        middle = (top + bottom) / 2
        shape = "x".join(map(str, part.output_shape))
        if part.kind in HEIGHTS:
            box = {"boxstyle": "round,pad=0.45", "facecolor": COLOURS[part.kind], "edgecolor": "0.5"}
            axes.text(centre, middle, part.label, ha="center", va="center", fontsize=9, bbox=box)
            facts = f"{shape}\n{part.macs / 1e6:.1f} M MACs" + (f", {part.params:,} params" if part.params else "")
            axes.text(centre + half + 0.18, middle, facts, va="center", fontsize=8)
        elif part.kind == "sum":
            axes.plot(centre, middle, "o", color="white", markeredgecolor="0.3", markersize=13, zorder=3)
            axes.text(centre, middle, "+", ha="center", va="center", zorder=4)
            start, left = ends[part.begin] - (0.3 if part.begin == 0 else 0.1), centre - half - 0.1
            axes.plot([centre, left, left, centre - 0.03], [start, start, middle, middle], color="0.3", linewidth=1)
        else:
            params = f"{part.params:,} params" if part.params else ""
            axes.text(centre + 0.03, middle, part.label, va="center", fontsize=8, color=COLOURS[part.kind])
            axes.text(centre + half + 0.18, middle, params, va="center", fontsize=8)
