"""Draws the pictures of the page "Notebooks and examples" and of the guide on augmentation into `docs/pictures/`.

    KERAS_BACKEND=tensorflow python docs/draw_pictures.py [PICTURE ...]

Run it by hand, in an environment with the extras `all` and `dev`; CI does not run it. Without names, it draws all
pictures, which takes some minutes. Any backend will do, except that `fast_inference` needs PyTorch, and is left out
elsewhere unless it is named. Each function draws one picture: from the outputs that a notebook stores, from an example
that it runs, or from the figures that a page states. The photographs are scikit-image's.
"""

import argparse
import base64
import contextlib
import io
import json
import runpy
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import keras
import numpy as np
from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from skimage import data as photographs

from keras_convnext import RECIPES, ConvNeXtClassifier, preprocessor
from keras_convnext.cli import main as keras_convnext
from keras_convnext.data import load_data, load_digits
from keras_convnext.training import Run

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs/pictures"
WIDTH, WIDEST, DPI, COLOURS = 720, 900, 144, 256
BLUE, GREY, RED = "#4a90b8", "0.75", "#c8644a"


def train_and_save():
    return stored_output("01_train_and_save.ipynb", "probabilities = ")


def pretrained():
    """Photographs, and what the evaluation transform of a checkpoint makes of them."""
    transform = preprocessor("convnext_tiny_1k_224_ema")
    figure, (above, below) = subplots(2, 3, height=500)
    for top, bottom, name in zip(above, below, ("chelsea", "coffee", "rocket"), strict=True):
        photograph = getattr(photographs, name)()
        prepared = transform(photograph)
        show(top, photograph, f"{name}, {in_pixels(photograph)}")
        show(bottom, prepared, in_pixels(prepared))
    return figure


def recipe():
    return stored_output("03_recipe.ipynb", "batches = recipe.dataset(digits.train)")


def roadmap_steps():
    return stored_output("04_roadmap.ipynb", "counts = ")


def detection():
    return stored_output("05_detection.ipynb", "found = detection.predict(")


def segmentation():
    return stored_output("06_segmentation.ipynb", "found = [segmentation.predict(")


def deploy():
    return stored_output("07_deploy.ipynb", 'picture = np.asarray(Image.open("../examples/three.png"))')


def train_on_folder():
    """The confusion matrix of a run on the digits, written as image files: a folder per class."""
    with tempfile.TemporaryDirectory() as folder:
        digits = load_digits()
        for part, images in (("train", digits.train), ("test", digits.test)):
            write_images(images, Path(folder, "digits", part))
        command = f"train --data {folder}/digits --size 16 --recipe from_scratch --epochs 30 --output {folder}/run"
        keras_convnext(command.split())
        return Image.open(f"{folder}/run/confusion.png").convert("RGB")


def fine_tune():
    return bars({"fine-tuned": 81.3, "from scratch": 77.0}, "Test accuracy on the second half of CIFAR-10's classes, %")


def cifar10_timm():
    return bars({"keras_convnext": 81.1, "timm": 79.8}, "Test accuracy on CIFAR-10, same network and recipe, %")


def cifar10_long():
    """Photographs of CIFAR-10's size, and what the settings of the file make of them in three epochs."""
    settings = json.loads((ROOT / "examples/cifar10_long.json").read_text())["recipe"]
    recipe = RECIPES[settings.pop("base")].with_settings({**settings, "batch_size": 6, "image_size": 32, "workers": 1})
    with photograph_folder() as folder:
        images = load_data(folder).train.take(range(0, 48, 8))
        rows = {"resized": recipe.dataset(images, training=False)[0][0]}
        batches = recipe.dataset(images)
        for epoch in range(3):
            batches.epoch = epoch
            rows[f"epoch {epoch + 1}"] = batches[0][0]
        batches.close()
    return image_rows({name: pixels.clip(0, 255).astype("uint8") for name, pixels in rows.items()}, height=500)


def backbone_features():
    """Test images, and the training images whose pooled features are the nearest."""
    with tempfile.TemporaryDirectory() as folder:
        keras_convnext(["train", "--output", f"{folder}/run"])
        classifier = Run.open(f"{folder}/run").load_model()
        unit = run_example("backbone_features.py", f"{folder}/run").names["unit"]
    embed = keras.Model(classifier.input, classifier.get_layer("head_norm").output)
    digits = load_digits()
    known, queries = (unit(embed.predict(part.pixels, verbose=0)) for part in (digits.train, digits.test))
    nearest = np.argsort(-queries @ known.T, axis=1)
    right = digits.train.labels[nearest[:, 0]] == digits.test.labels
    shown = [*np.flatnonzero(right)[:4], *np.flatnonzero(~right)[:1]]
    figure, rows = subplots(5, 8, height=500)
    for row, query in zip(rows, shown, strict=False):
        show(row[0], digits.test.pixels[query])
        row[1].axis("off")
        for axes, index in zip(row[2:], nearest[query], strict=False):
            show(axes, digits.train.pixels[index])
            frame(axes, BLUE if digits.train.labels[index] == digits.test.labels[query] else RED)
    rows[0, 0].set_title("query")
    heading = rows[0, 2].text(0, 1.1, "nearest training images", transform=rows[0, 2].transAxes)
    heading.set_in_layout(False)
    return figure


def block_in_own_model():
    """Digits with noise, what the network makes of them, and the digits without noise."""
    example = run_example("block_in_own_model.py")
    clean, noisy = example.names["with_noise"](load_digits().test.pixels[:7])
    rows = {"noisy": noisy, "denoised": example.models[0].predict(noisy, verbose=0), "clean": clean}
    return image_rows({name: pixels.clip(0, 1) for name, pixels in rows.items()}, height=330)


def fast_inference():
    """The forms one after the other, with the number of weights or operations in each."""
    import torch

    model = ConvNeXtClassifier.from_preset("convnext_tiny", input_shape=(224, 224, 3), data_format="channels_last")
    fused = model.fuse()
    with torch.no_grad():
        exported = torch.export.export(fused.eval(), (torch.zeros(1, 224, 224, 3),))
    operations = sum(node.op == "call_function" for node in exported.graph.nodes)
    forms = [
        ("as it is", f"convnext_tiny: {len(model.weights)} weights in Keras layers"),
        ("fused", f"layer scale folded: {len(fused.weights)} weights in Keras layers"),
        ("exported", f"{operations} PyTorch operations, none of Keras's code"),
        ("compiled", "the same graph as machine code for one image size"),
    ]
    steps = ["model.fuse()", "torch.export.export", "torch.compile"]
    figure = new_figure(430)
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(len(forms) - 0.6, -0.4))
    axes.axis("off")
    for place, (name, what) in enumerate(forms):
        axes.text(0.5, place, f"{name}\n", ha="center", va="center", weight="bold")
        axes.text(0.5, place, f"\n{what}", ha="center", va="center")
        axes.add_patch(Rectangle((0.05, place - 0.27), 0.9, 0.54, facecolor="0.95", edgecolor=BLUE))
    for place, step in enumerate(steps):
        axes.annotate("", (0.3, place + 0.73), (0.3, place + 0.27), arrowprops={"arrowstyle": "->", "color": BLUE})
        axes.text(0.33, place + 0.5, step, va="center", family="monospace")
    return figure


def augment():
    """The grid that `keras-convnext augment` draws of photographs."""
    with photograph_folder() as folder:
        keras_convnext(["augment", "--data", folder, "--size", "96", "--rows", "3", "--output", f"{folder}/grid.png"])
        return Image.open(f"{folder}/grid.png").convert("RGB")


def augment_boxes():
    """The grid that `keras-convnext augment --task detection` draws of the bundled scenes."""
    with tempfile.TemporaryDirectory() as folder:
        grid = f"{folder}/grid.png"
        options = ["--task", "detection", "--data", "digit_scenes", "--size", "96", "--rows", "2", "--output", grid]
        keras_convnext(["augment", *options])
        return Image.open(grid).convert("RGB")


DRAWN = {
    "01_train_and_save": train_and_save,
    "02_pretrained": pretrained,
    "03_recipe": recipe,
    "04_roadmap": roadmap_steps,
    "05_detection": detection,
    "06_segmentation": segmentation,
    "07_deploy": deploy,
    "train_on_folder": train_on_folder,
    "fine_tune": fine_tune,
    "cifar10_timm": cifar10_timm,
    "cifar10_long": cifar10_long,
    "backbone_features": backbone_features,
    "block_in_own_model": block_in_own_model,
    "fast_inference": fast_inference,
    "augment": augment,
    "augment_boxes": augment_boxes,
}


def stored_output(notebook, line):
    """The figure that a notebook stores under the cell that has this line."""
    cells = json.loads((ROOT / "notebooks" / notebook).read_text())["cells"]
    cell = next(cell for cell in cells if line in "".join(cell["source"]))
    figures = [output["data"]["image/png"] for output in cell["outputs"] if "image/png" in output.get("data", {})]
    return Image.open(io.BytesIO(base64.b64decode(figures[0]))).convert("RGB")


@dataclass(frozen=True)
class Example:
    """An example that has run: the names that its file defines, and the models that it trained."""

    names: dict
    models: list


def run_example(file, *arguments):
    models, fit = [], keras.Model.fit

    def remember(model, *args, **kwargs):
        models.append(model)
        return fit(model, *args, **kwargs)

    path = str(ROOT / "examples" / file)
    with mock.patch.object(keras.Model, "fit", remember), mock.patch.object(sys, "argv", [path, *arguments]):
        return Example(runpy.run_path(path, run_name="__main__"), models)


@contextlib.contextmanager
def photograph_folder():
    """A temporary folder of photographs, as `.ci/photographs.py` writes it."""
    with tempfile.TemporaryDirectory() as folder:
        runpy.run_path(str(ROOT / ".ci/photographs.py"))["main"](folder)
        yield folder


def write_images(images, folder):
    """Writes grey images as `folder/CLASS/NUMBER.png`."""
    for number, (pixels, label) in enumerate(zip(images.pixels, images.labels, strict=True)):
        path = folder / images.class_names[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0]).save(path)


def new_figure(height):
    return Figure(figsize=(WIDTH / DPI, height / DPI), layout="constrained")


def subplots(rows, columns, height):
    figure = new_figure(height)
    return figure, figure.subplots(rows, columns, squeeze=rows == 1)


def image_rows(rows, height):
    """A row of images for each name, with the name before it."""
    count = min(map(len, rows.values()))
    figure, grid = subplots(len(rows), count, height)
    for (name, images), line in zip(rows.items(), grid, strict=True):
        for axes, image in zip(line, images, strict=True):
            show(axes, image)
        line[0].set_ylabel(name)
    return figure


def bars(figures, title):
    """Horizontal bars of percentages, with the figures beside them."""
    figure = new_figure(60 + 90 * len(figures))
    axes = figure.subplots()
    drawn = axes.barh(list(figures), list(figures.values()), color=[BLUE, GREY][: len(figures)])
    axes.bar_label(drawn, fmt="%.1f %%", padding=4)
    axes.set(xlim=(0, 100), xlabel=title)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def show(axes, image, title=""):
    axes.imshow(image, cmap="gray" if image.shape[-1] == 1 else None)
    axes.set_title(title)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def frame(axes, colour):
    axes.spines[:].set(visible=True, color=colour, linewidth=2.5)


def in_pixels(image):
    return f"{image.shape[1]} x {image.shape[0]}"


def save(drawing, path):
    """Writes a figure or an image as a PNG file of at most 256 colours, and not too wide."""
    if isinstance(drawing, Figure):
        buffer = io.BytesIO()
        drawing.savefig(buffer, format="png", dpi=DPI, facecolor="white")
        drawing = Image.open(buffer).convert("RGB")
    drawing.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
    drawing.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {drawing.width} x {drawing.height}, {path.stat().st_size / 1000:.0f} kB")


def on_torch():
    return keras.backend.backend() == "torch"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="PICTURE", help=", ".join(DRAWN))
    names = parser.parse_args().names or [name for name in DRAWN if name != "fast_inference" or on_torch()]
    if unknown := set(names) - set(DRAWN):
        parser.error(f"no such picture: {', '.join(sorted(unknown))}")
    rcParams.update({"font.size": 9, "axes.titlesize": 9})
    for name in names:
        save(DRAWN[name](), PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()
