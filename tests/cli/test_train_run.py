"""`train`: what a whole run leaves, on an `.npz` file and on a folder."""

import json

import keras
import numpy as np
import pytest

from keras_convnext import __version__
from keras_convnext.data import Batches, load_folder, load_npz
from keras_convnext.models import load_model
from keras_convnext.preprocessing import ResizeAndCrop
from keras_convnext.training import Run

pytestmark = pytest.mark.usefixtures("empty_directory")


# === A whole run on an .npz file


def test_run_folder_has_all_files(trained):
    names = ["config.json", "confusion.png", "curves.png", "history.csv", "metrics.json", "mistakes.png", "model.keras"]
    names += ["state"]
    assert sorted(path.name for path in trained.path.iterdir()) == names


def test_config_says_what_was_trained(trained, digits_npz, backend):
    config = json.loads((trained.path / "config.json").read_text())
    assert config["variant"] == "tiny"
    assert config["training_images"] == 70
    assert config["data"] == str(digits_npz)
    assert config["image_shape"] == [8, 8, 1]
    assert config["class_names"] == list("0123456789")
    assert config["recipe"]["epochs"] == 2
    assert config["recipe"]["batch_size"] == 24
    assert config["recipe"]["seed"] == 3
    versions = (config["keras_convnext"], config["keras"], config["backend"])
    assert versions == (__version__, keras.__version__, backend)


def test_model_is_that_of_the_metrics(trained, digits_npz):
    test = load_npz(digits_npz).test
    outputs = load_model(trained.path / "model.keras").predict(test.pixels.astype("float32"), verbose=0)
    metrics = json.loads((trained.path / "metrics.json").read_text())
    np.testing.assert_allclose(metrics["test_accuracy"], (outputs.argmax(-1) == test.labels).mean(), rtol=1e-6)


def test_history_has_both_epochs(trained):
    assert [row["epoch"] for row in Run(trained.path).read_csv("history.csv")] == ["1", "2"]


def test_prints_what_is_trained_and_what_came_of_it(trained, backend):
    metrics = json.loads((trained.path / "metrics.json").read_text())
    first, *_, last = trained.out.splitlines()
    assert first == (
        "tiny, stem of stride 1, images of 8 x 8 pixels: 4,730 parameters, 10 classes, "
        "80 images: 70 to train, 10 to validate; 2 batches of 24 per epoch, "
        f"{backend} backend; run folder {trained.path}"
    )
    assert last.startswith(
        f"best epoch {metrics['best_epoch']} of 2: validation accuracy {metrics['val_accuracy']:.4f}"
    )
    assert f"test accuracy {metrics['test_accuracy']:.4f}" in last
    assert str(trained.path / "model.keras") in last


# === A whole run on a folder


@pytest.mark.once
def test_trains_on_a_folder_of_pictures(cli, tiny, write_digits, tmp_path):
    folder = tmp_path / "pictures"
    write_digits(folder / "train", 4)
    write_digits(folder / "val", 2, start=4)
    write_digits(folder / "test", 2, start=6)
    (folder / "train" / "one" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    options = ["--variant", tiny, "--size", "8", "--epochs", "1", "--batch", "6"]
    result = cli("train", "--data", folder, *options, "--skip-unreadable", "--output", tmp_path / "run")
    assert result.code == 0
    assert ", 3 classes, 12 images to train, 6 to validate, 1 unreadable skipped; " in result.out
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["class_names"] == ["one", "two", "zero"]
    assert config["image_shape"] == [8, 8, 3]
    assert config["skip_unreadable"] is True
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    validation = load_folder(folder, skip_unreadable=True, verbose=False).validation
    assert len(validation) == 6
    batches = Batches(validation, 6, ResizeAndCrop(8, 8))
    scores = load_model(tmp_path / "run" / "model.keras").evaluate(batches, verbose=0, return_dict=True)
    assert metrics["val_accuracy"] == pytest.approx(scores["accuracy"], rel=1e-6)
    assert metrics["val_loss"] == pytest.approx(scores["loss"], rel=1e-5)
    scored = cli("evaluate", tmp_path / "run", "--json")
    assert scored.code == 0
    facts = json.loads(scored.out)
    assert (facts["part"], facts["images"]) == ("test", 6)
    assert facts["accuracy"] == metrics["test_accuracy"]
