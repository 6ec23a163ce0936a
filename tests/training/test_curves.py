"""The picture of a training."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from keras_convnext.training.curves import draw_curves


def rows(count):
    return [
        {"epoch": n + 1, "loss": 2 / (n + 1), "val_loss": 2.5 / (n + 1), "accuracy": n / 10, "val_accuracy": n / 12}
        for n in range(count)
    ]


@pytest.mark.parametrize("epochs", [1, 2, 10])
def test_draws_a_png(tmp_path, epochs):
    path = tmp_path / ".partial-curves.png"
    draw_curves(rows(epochs), path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape == (420, 1080, 3)
    for half in np.split(pixels, 2, axis=1):
        assert len(np.unique(half.reshape(-1, 3), axis=0)) > 10


def test_the_picture_shows_the_rows(tmp_path):
    for name, count in (("a", 5), ("b", 6)):
        draw_curves(rows(count), tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_the_moving_average_has_a_curve_and_is_what_is_best(tmp_path, monkeypatch):
    labels = []
    original = Axes.plot

    def plot(self, *arguments, **options):
        labels.append(options.get("label"))
        return original(self, *arguments, **options)

    monkeypatch.setattr(Axes, "plot", plot)
    history = [{**row, "val_ema_loss": 1.0, "val_ema_accuracy": 0.9 - n / 10} for n, row in enumerate(rows(4))]
    draw_curves(history, tmp_path / "curves.png")
    assert labels.count("validation, moving average") == 2
    assert "best epoch, 1: 0.9" in labels
    labels.clear()
    draw_curves(rows(4), tmp_path / "curves.png")
    assert "validation, moving average" not in labels
    assert "best epoch, 4: 0.25" in labels


def test_a_loss_that_is_no_number_leaves_a_picture(tmp_path):
    history = rows(3)
    history[1]["loss"] = float("nan")
    draw_curves(history, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        image.load()
