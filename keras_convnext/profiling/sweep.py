"""How cost grows with the size of the images or of the batch: a picture."""

from keras_convnext.extras import require

LABELS = {"size": "side of the images, pixels", "batch": "images a step"}


def draw_sweep(timings, over, path):
    """Draws milliseconds a step and images a second into a PNG file, a line a backend.

    Args:
        timings: list of `Timing`.
        over: str, the field of their cases that changes: `"size"` or `"batch"`.
        path: of the file to write.
    """
    figure = require("matplotlib.figure", extra="cli").Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for backend in sorted({timing.case.backend for timing in timings}):
        line = [timing for timing in timings if timing.case.backend == backend]
        values = [getattr(timing.case, over) for timing in line]
        left.plot(values, [1e3 * timing.median for timing in line], marker=".", label=backend)
        right.plot(values, [timing.case.batch / timing.median for timing in line], marker=".", label=backend)
    case = timings[0].case
    figure.suptitle(f"{case.variant}, {case.task}, {case.dtype}, {case.device}")
    for axes, quantity in ((left, "milliseconds a step"), (right, "images a second")):
        axes.set(xlabel=LABELS[over], ylabel=quantity, ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)
