"""Drawing the curves of a training: loss and accuracy by epoch, with the best epoch marked."""

from collections.abc import Sequence
from pathlib import Path

from keras_convnext.extras import require
from keras_convnext.training.record import best_row

LABELS = {"": "training", "val_": "validation", "val_ema_": "validation, moving average"}


def draw_curves(history: Sequence[dict], path: str | Path, score: str = "accuracy") -> None:
    """Draws training and validation loss and score into a PNG file, and marks the epoch whose model was kept.

    Args:
        history: rows with `epoch`, `loss`, `val_loss`, `accuracy`, `val_accuracy`; and with a moving average of the
            weights, `val_ema_loss` and `val_ema_accuracy`.
        path: path of the file to write; an existing one is replaced.
        score: the name of the score, in place of `accuracy`. Curves that the history lacks are left out. Defaults to
            `"accuracy"`.

    Example:

    >>> import tempfile
    >>> from keras_convnext.training import draw_curves
    >>> history = [
    ...     {"epoch": 1, "loss": 2.1, "accuracy": 0.3, "val_loss": 1.8, "val_accuracy": 0.4},
    ...     {"epoch": 2, "loss": 1.2, "accuracy": 0.6, "val_loss": 1.1, "val_accuracy": 0.7},
    ... ]
    >>> draw_curves(history, tempfile.mkdtemp() + "/curves.png")
    """
    figure = require("matplotlib.figure", extra="cli").Figure(figsize=(9, 3.5), layout="constrained")
    epochs = [row["epoch"] for row in history]
    best = best_row(history, score)
    kept = "val_ema_" if f"val_ema_{score}" in best else "val_"
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", score), strict=True):
        for prefix, label in LABELS.items():
            if prefix + quantity in best:
                axes.plot(epochs, [row[prefix + quantity] for row in history], marker=_marker(epochs), label=label)
        axes.axvline(best["epoch"], color="0.4", linestyle="--", linewidth=1, zorder=1)
        axes.plot(
            best["epoch"],
            best[kept + quantity],
            marker="*",
            markersize=13,
            color="black",
            linestyle="none",
            label=f"best epoch, {best['epoch']}: {best[kept + quantity]:.4g}",
        )
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


def _marker(epochs):
    """A dot per epoch, if there are few enough epochs to tell the dots apart."""
    return "." if len(epochs) <= 60 else None
