"""A picture of a training: loss and accuracy by epoch."""

from keras_convnext.extras import require


def draw_curves(history, path):
    """Draws training and validation loss and accuracy into a PNG file.

    Args:
        history: rows with `epoch`, `loss`, `val_loss`, `accuracy`, `val_accuracy`.
        path: of the file to write.
    """
    figure = require("matplotlib.figure", extra="cli").Figure(figsize=(9, 3.5), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key, label in ((quantity, "training"), (f"val_{quantity}", "validation")):
            axes.plot(epochs, [row[key] for row in history], marker=".", label=label)
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)
