"""`train`: what a run leaves, what the options do, and what is refused before any work."""

import csv
import json
import shutil
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_convnext import __version__
from keras_convnext.cli import main
from keras_convnext.data import Batches, load_folder, load_npz, split_validation
from keras_convnext.models import load_classifier
from keras_convnext.preprocessing import ResizeAndCrop
from keras_convnext.training import RunRecord

METRICS = {
    "test_accuracy": 0.5,
    "test_loss": 1.0,
    "val_accuracy": 0.75,
    "val_loss": 1.0,
    "best_epoch": 2,
    "epochs": 3,
    "seconds": 4.0,
}


@pytest.fixture
def fitted(monkeypatch):
    """The trainings that `train` starts: `fit` is replaced by a function that keeps what it is given."""
    calls = []

    def fit(model, data, recipe, run, history=()):
        calls.append(SimpleNamespace(model=model, data=data, recipe=recipe, run=run, history=history))
        return METRICS

    monkeypatch.setattr(sys.modules["keras_convnext.cli.train"], "fit", fit)
    return calls


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    """The current directory, empty."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def rows_of(run):
    with (run / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# === A whole run on an .npz file


def test_run_folder_has_all_files(trained):
    names = ["config.json", "curves.png", "history.csv", "metrics.json", "model.keras", "state"]
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
    outputs = load_classifier(trained.path / "model.keras").predict(test.pixels.astype("float32"), verbose=0)
    metrics = json.loads((trained.path / "metrics.json").read_text())
    np.testing.assert_allclose(metrics["test_accuracy"], (outputs.argmax(-1) == test.labels).mean(), rtol=1e-6)


def test_history_has_both_epochs(trained):
    assert [row["epoch"] for row in rows_of(trained.path)] == ["1", "2"]


def test_prints_what_is_trained_and_what_came_of_it(trained, backend):
    metrics = json.loads((trained.path / "metrics.json").read_text())
    first, *_, last = trained.out.splitlines()
    assert first == (
        f"tiny: 4,730 parameters, 10 classes, 70 training images, {backend} backend; run folder {trained.path}"
    )
    assert last.startswith(
        f"best epoch {metrics['best_epoch']} of 2: validation accuracy {metrics['val_accuracy']:.4f}"
    )
    assert f"test accuracy {metrics['test_accuracy']:.4f}" in last
    assert str(trained.path / "model.keras") in last


# === A whole run on a folder


def test_trains_on_a_folder_of_pictures(cli, tiny, write_digits, tmp_path):
    folder = tmp_path / "pictures"
    write_digits(folder / "train", 4)
    write_digits(folder / "val", 2, start=4)
    write_digits(folder / "test", 2, start=6)
    (folder / "train" / "one" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    options = ["--variant", tiny, "--size", "8", "--epochs", "1", "--batch", "6"]
    result = cli("train", "--data", folder, *options, "--skip-unreadable", "--output", tmp_path / "run")
    assert result.code == 0
    assert ", 3 classes, 12 training images, 1 unreadable skipped, " in result.out
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["class_names"] == ["one", "two", "zero"]
    assert config["image_shape"] == [8, 8, 3]
    assert config["skip_unreadable"] is True
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    validation = load_folder(folder, skip_unreadable=True, verbose=False).validation
    assert len(validation) == 6
    batches = Batches(validation, 6, ResizeAndCrop(8, 8))
    scores = load_classifier(tmp_path / "run" / "model.keras").evaluate(batches, verbose=0, return_dict=True)
    assert metrics["val_accuracy"] == pytest.approx(scores["accuracy"], rel=1e-6)
    assert metrics["val_loss"] == pytest.approx(scores["loss"], rel=1e-5)
    scored = cli("evaluate", tmp_path / "run", "--json")
    assert scored.code == 0
    facts = json.loads(scored.out)
    assert (facts["part"], facts["images"]) == ("test", 6)
    assert facts["accuracy"] == metrics["test_accuracy"]


# === What the options do


def test_trains_on_the_digits_by_default(cli, fitted, empty_directory):
    result = cli("train")
    assert result.code == 0
    (call,) = fitted
    assert call.run.path.resolve() == empty_directory / "runs" / "digits-convnext_mini-1"
    assert (len(call.data.train), len(call.data.validation), len(call.data.test)) == (1295, 143, 359)
    assert call.model.input_shape == (None, 8, 8, 1)
    assert call.recipe.source == "keras_convnext"
    assert call.recipe.seed == 0
    assert call.run.config["data"] == "digits"
    assert "validation accuracy 0.7500, test accuracy 0.5000" in result.out


def test_each_run_has_a_new_folder(cli, fitted):
    for _ in range(2):
        cli("train")
    assert [call.run.path.name for call in fitted] == ["digits-convnext_mini-1", "digits-convnext_mini-2"]


def test_a_folder_given_by_a_dot_gives_the_run_its_name(cli, fitted, write_digits, tmp_path, monkeypatch):
    monkeypatch.chdir(write_digits(tmp_path / "pictures"))
    assert cli("train", "--data", ".", "--variant", "convnext_mini", "--size", "8").code == 0
    assert fitted[0].run.path.name.startswith("pictures-convnext_mini")


def test_options_reach_the_training(cli, fitted, tiny):
    options = ["--epochs", "7", "--batch", "5", "--seed", "11", "--size", "16", "--stem", "2"]
    cli("train", "--variant", tiny, "--recipe", "from_scratch", *options)
    (call,) = fitted
    assert call.model.backbone.dims == (8, 16)
    assert call.model.backbone.stem_patch_size == 2
    assert call.model.backbone.drop_path_rate == call.recipe.drop_path_rate
    assert call.model.input_shape == (None, 16, 16, 1)
    assert (call.recipe.epochs, call.recipe.batch_size, call.recipe.seed) == (7, 5, 11)
    assert call.recipe.image_size == (16, 16)
    assert call.recipe.learning_rate == 1e-3


def test_the_seed_draws_the_weights(cli, fitted):
    for seed in (0, 0, 1):
        cli("train", "--seed", seed)
    first, same, other = (call.model.get_weights() for call in fitted)
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize(
    "side, variant, stem",
    [(8, "convnext_mini", 1), (16, "convnext_mini", 1), (28, "convnext_atto", 2), (64, "convnext_atto", 2)],
)
def test_variant_and_stem_follow_from_the_size_of_the_images(cli, fitted, tmp_path, rng, side, variant, stem):
    images = rng.integers(0, 256, (4, side, side - 2), dtype="uint8")
    labels = np.array([0, 1, 0, 1])
    np.savez(tmp_path / "images.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    assert cli("train", "--data", tmp_path / "images.npz").code == 0
    (call,) = fitted
    assert call.run.config["variant"] == variant
    assert call.model.backbone.stem_patch_size == stem
    assert call.model.input_shape == (None, side, side - 2, 1)


def test_pictures_are_224_pixels_wide_by_default(cli, fitted, write_digits, tmp_path):
    cli("train", "--data", write_digits(tmp_path / "pictures"))
    (call,) = fitted
    assert call.model.input_shape == (None, 224, 224, 3)
    assert call.recipe.image_size == (224, 224)
    assert call.run.config["variant"] == "convnext_atto"
    assert call.model.backbone.stem_patch_size == 4


def test_a_training_without_test_images_says_so(cli, monkeypatch):
    fit = {**METRICS, "test_accuracy": None, "test_loss": None}
    monkeypatch.setattr(sys.modules["keras_convnext.cli.train"], "fit", lambda *arguments: fit)
    assert "validation accuracy 0.7500, no test images" in cli("train").out


# === What is refused before any work


@pytest.fixture
def refused(refusal, fitted, empty_directory, tmp_path):
    """A function: runs a training that must be refused before it began, and returns the message."""

    def call(*options, output=tmp_path / "run"):
        message = refusal("train", *options, "--output", output)
        assert fitted == []
        assert not (tmp_path / "run").exists()
        assert list(empty_directory.iterdir()) == []
        return message

    return call


@pytest.mark.parametrize("option", ["--seed", "--epochs", "--batch", "--size"])
def test_refuses_a_number_out_of_range_in_one_line(option, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", option, "-1"])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"argument {option}" in line


@pytest.mark.parametrize(
    "options, message",
    [
        (["--variant", "convnext_tini"], "the nearest names are convnext_tiny"),
        (["--variant", "convnext_mini", "--size", "2"], "smaller than this network's stride of 4"),
        (["--variant", "convnext_tiny"], "8x8 pixels are smaller than this network's stride of 32"),
        (["--stem", "3"], "stem_patch_size"),
        (["--data", "nowhere"], "nowhere: expected `digits`, an .npz file or a folder"),
        (["--data", "nowhere.npz"], "nowhere.npz: expected `digits`, an .npz file or a folder"),
    ],
)
def test_refuses(refused, options, message):
    assert message in refused(*options)


def test_refuses_an_npz_file_without_the_arrays(refused, tmp_path):
    np.savez(tmp_path / "images.npz", images=np.zeros(3))
    assert "images.npz: expected the arrays x_train" in refused("--data", tmp_path / "images.npz")


def test_refuses_an_npz_file_that_is_none(refused, tmp_path):
    (tmp_path / "images.npz").write_text("nothing")
    assert "images.npz: not a readable .npz file" in refused("--data", tmp_path / "images.npz")


def test_refuses_a_folder_of_one_class(refused, write_digits, tmp_path):
    write_digits(tmp_path / "pictures")
    for name in ("one", "two"):
        shutil.rmtree(tmp_path / "pictures" / name)
    assert "two classes or more, got 1 (zero)" in refused("--data", tmp_path / "pictures")


def test_refuses_an_unreadable_picture(refused, write_digits, tmp_path):
    bad = write_digits(tmp_path / "pictures") / "one" / "broken.png"
    bad.write_bytes(b"\x89PNG")
    message = refused("--data", tmp_path / "pictures")
    assert str(bad) in message
    assert "--skip-unreadable" in message


def test_refuses_classes_of_single_images(refused, write_digits, tmp_path):
    """Nothing is left to validate with: that is known before the training begins."""
    assert "two images" in refused("--data", write_digits(tmp_path / "pictures", count=1), "--size", "8")


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_text("notes")])
def test_refuses_an_output_that_exists(refusal, fitted, tmp_path, make):
    make(tmp_path / "run")
    assert "run: exists already" in refusal("train", "--output", tmp_path / "run")
    assert fitted == []


def test_refuses_an_output_that_cannot_be_made(refused, tmp_path):
    (tmp_path / "notes").write_text("a file, no folder")
    assert "notes" in refused(output=tmp_path / "notes" / "run")


@pytest.mark.parametrize("package", ["PIL", "matplotlib"])
def test_names_the_extra_of_a_missing_package(refused, write_digits, tmp_path, without, package):
    folder = write_digits(tmp_path / "pictures")
    without(package)
    assert f'{package}, which is not installed: pip install "keras-convnext[cli]"' in refused("--data", folder)


def test_names_the_extra_where_arrays_are_to_be_resized(refused, without):
    without("PIL")
    assert "keras-convnext[cli]" in refused("--size", "16")


# === Interrupted, and resumed


def test_interrupted_and_resumed(cli, tiny, digits_npz, tmp_path, monkeypatch):
    run = tmp_path / "run"

    def interrupt(record, batch, logs=None):
        if int(record.model.optimizer.iterations) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunRecord, "on_train_batch_end", interrupt)
        options = ["--data", digits_npz, "--variant", tiny, "--epochs", "2", "--batch", "24", "--seed", "3"]
        result = cli("train", *options, "--output", run)
    assert result.code == 130
    assert f"keras-convnext train --resume {run}" in result.err
    assert str(run / "state" / "epoch-1" / "model.keras") in result.err
    assert str(run / "model.keras") in result.err
    load_classifier(run / "model.keras")
    result = cli("train", "--resume", run)
    assert result.code == 0
    assert [row["epoch"] for row in rows_of(run)] == ["1", "2"]
    assert json.loads((run / "metrics.json").read_text())["epochs"] == 2
    assert [path.name for path in (run / "state").iterdir()] == ["epoch-2"]


@pytest.fixture
def unfinished(trained, tmp_path):
    """A copy of the finished run that is to have three epochs."""
    path = shutil.copytree(trained.path, tmp_path / "unfinished")
    (path / "metrics.json").unlink()
    config = json.loads((path / "config.json").read_text())
    config["recipe"]["epochs"] = 3
    (path / "config.json").write_text(json.dumps(config))
    return path


def test_resumed_goes_on_with_the_last_epochs_state(cli, fitted, unfinished, digits_npz):
    assert cli("train", "--resume", unfinished).code == 0
    (call,) = fitted
    assert call.run.path == unfinished
    assert [row["epoch"] for row in call.history] == [1, 2]
    assert int(call.model.optimizer.iterations) == 2 * 2
    assert call.recipe.batch_size == 24
    train, _ = split_validation(load_npz(digits_npz).train, seed=3)
    np.testing.assert_array_equal(call.data.train.pixels, train.pixels)


def test_resumes_a_run_whose_epochs_are_done_but_not_its_scores(cli, trained, tmp_path):
    """Broken off while the test images were scored: resuming scores them."""
    path = shutil.copytree(trained.path, tmp_path / "unscored")
    (path / "metrics.json").unlink()
    assert cli("train", "--resume", path).code == 0
    metrics, expected = (json.loads((folder / "metrics.json").read_text()) for folder in (path, trained.path))
    assert {**metrics, "seconds": 0} == {**expected, "seconds": 0}


def test_refuses_to_resume_a_finished_run(refusal, trained, fitted):
    assert "this run is complete" in refusal("train", "--resume", trained.path)
    assert fitted == []


def test_refuses_to_resume_a_run_without_an_epoch(refusal, unfinished, fitted):
    shutil.rmtree(unfinished / "state")
    assert "no epoch was completed" in refusal("train", "--resume", unfinished)
    assert fitted == []


def test_refuses_to_resume_what_is_no_run(refusal, tmp_path, fitted):
    for path in (tmp_path, tmp_path / "nowhere"):
        assert f"{path}: not a run folder" in refusal("train", "--resume", path)
    assert fitted == []


def test_refuses_to_resume_a_folder_with_a_config_of_others(refusal, tmp_path, fitted):
    (tmp_path / "config.json").write_text('{"model_type": "convnext"}')
    assert "config.json" in refusal("train", "--resume", tmp_path)
    assert fitted == []


def test_refuses_to_resume_with_a_damaged_state(refusal, unfinished, fitted):
    model = unfinished / "state" / "epoch-2" / "model.keras"
    model.write_bytes(model.read_bytes()[:-100])
    assert "model.keras" in refusal("train", "--resume", unfinished)
    assert fitted == []


@pytest.mark.parametrize("name", ["seeds.npz", "history.json"])
def test_refuses_to_resume_with_a_state_that_lacks_a_file(refusal, unfinished, fitted, name):
    (unfinished / "state" / "epoch-2" / name).unlink()
    assert name in refusal("train", "--resume", unfinished)
    assert fitted == []


def test_refuses_to_resume_on_other_classes(refusal, unfinished, fitted, tmp_path, rng):
    images, labels = rng.integers(0, 256, (4, 8, 8), dtype="uint8"), np.array([0, 1, 0, 1])
    np.savez(tmp_path / "other.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    config = json.loads((unfinished / "config.json").read_text())
    (unfinished / "config.json").write_text(json.dumps({**config, "data": str(tmp_path / "other.npz")}))
    assert "classes" in refusal("train", "--resume", unfinished)
    assert fitted == []


def test_refuses_to_resume_on_other_images(refusal, unfinished, fitted, tmp_path, digits_npz):
    """An image fewer, and the tenth for validation would be drawn anew."""
    with np.load(digits_npz) as arrays:
        fewer = {name: array[1:] if name.endswith("train") else array for name, array in arrays.items()}
    np.savez(tmp_path / "fewer.npz", **fewer)
    config = json.loads((unfinished / "config.json").read_text())
    (unfinished / "config.json").write_text(json.dumps({**config, "data": str(tmp_path / "fewer.npz")}))
    assert "training images" in refusal("train", "--resume", unfinished)
    assert fitted == []


@pytest.mark.parametrize("option", [["--epochs", "9"], ["--data", "digits"], ["--variant", "convnext_mini"]])
def test_refuses_options_that_a_resumed_run_would_not_follow(refusal, unfinished, fitted, option):
    assert option[0].strip("-") in refusal("train", "--resume", unfinished, *option)
    assert fitted == []
