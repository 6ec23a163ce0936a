"""`evaluate`: the scores of a run's model."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtClassifier
from keras_convnext.data import load_npz

pytestmark = pytest.mark.once

OTHERS = sorted({"tensorflow", "jax", "torch"} - {keras.backend.backend()})


@pytest.fixture
def metrics(trained):
    return json.loads((trained.path / "metrics.json").read_text())


@pytest.fixture
def copy(trained, tmp_path):
    """A copy of the run, to be spoilt."""
    return shutil.copytree(trained.path, tmp_path / "copy")


@pytest.fixture
def write_npz(tmp_path, rng):
    """A function: writes an `.npz` file of random images."""

    def write(classes=10, side=8, channels=1, **more):
        images, labels = rng.integers(0, 256, (20, side, side, channels), dtype="uint8"), np.arange(20) % classes
        np.savez(tmp_path / "other.npz", x_train=images, y_train=labels, x_test=images, y_test=labels, **more)
        return tmp_path / "other.npz"

    return write


def test_agrees_with_the_metrics_of_the_run(cli, trained, metrics):
    result = cli("evaluate", trained.path, "--json")
    assert result.code == 0
    facts = json.loads(result.out)
    classes, top5 = facts.pop("classes"), facts.pop("top5_accuracy")
    assert facts == {
        "part": "test",
        "images": 24,
        "accuracy": metrics["test_accuracy"],
        "loss": pytest.approx(metrics["test_loss"], rel=1e-6),
        "published": None,
        "skipped": [],
        "bad_records": [],
    }
    assert metrics["test_accuracy"] <= top5 <= 1
    assert sum(one["images"] for one in classes) == 24
    assert sum(one["images"] * one["accuracy"] for one in classes) == pytest.approx(24 * facts["accuracy"])


@pytest.mark.parametrize("file", ["model.keras", "state/epoch-2/model.keras"])
def test_the_file_of_a_run_is_scored_as_the_run(cli, trained, file):
    result = cli("evaluate", trained.path / file, "--json")
    assert result.code == 0, result.err
    facts = json.loads(result.out)
    assert (facts["part"], facts["images"]) == ("test", 24)
    assert facts["classes"][0]["name"] == "0"
    if file == "model.keras":
        assert facts == json.loads(cli("evaluate", trained.path, "--json").out)


def test_prints_the_scores(cli, trained, metrics):
    result = cli("evaluate", trained.path)
    assert result.code == 0
    accuracy, loss = metrics["test_accuracy"], metrics["test_loss"]
    first = next(line for line in result.out.splitlines() if line.startswith("24 images"))
    assert first.startswith(f"24 images (test): accuracy {accuracy:.4f}, top-5 ")
    assert first.endswith(f", loss {loss:.4f}")


@pytest.mark.parametrize(("classes", "has_top5"), [(5, False), (6, True)])
def test_top_5_is_printed_where_there_are_more_classes(cli, tmp_path, write_npz, classes, has_top5):
    """Among five classes or fewer the right one is always among the five best."""
    model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=classes, input_shape=(8, 8, 1))
    model.save(tmp_path / "model.keras")
    command = ("evaluate", tmp_path / "model.keras", "--data", write_npz(classes=classes))
    assert ("top-5" in cli(*command).out) == has_top5
    assert 0 <= json.loads(cli(*command, "--json").out)["top5_accuracy"] <= 1


@pytest.mark.parametrize("other", [OTHERS[0], pytest.param(OTHERS[1], marks=pytest.mark.slow)])
def test_another_backend_gives_the_same_scores(trained, metrics, other):
    if importlib.util.find_spec(other) is None:
        pytest.skip(f"{other} is not installed")
    result = subprocess.run(
        [sys.executable, "-m", "keras_convnext", "evaluate", str(trained.path), "--json"],
        env={**os.environ, "KERAS_BACKEND": other},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts["accuracy"] == pytest.approx(metrics["test_accuracy"], rel=1e-6)
    assert facts["loss"] == pytest.approx(metrics["test_loss"], rel=1e-5)


def test_other_data_of_the_same_classes(cli, trained, write_npz):
    path = write_npz(side=11)
    facts = json.loads(cli("evaluate", trained.path, "--data", path, "--json").out)
    assert (facts["part"], facts["images"]) == ("test", 20)


def test_the_bundled_digits(cli, trained):
    facts = json.loads(cli("evaluate", trained.path, "--data", "digits", "--json").out)
    assert facts["images"] == 359


@pytest.fixture
def grey_run_of_pictures(copy):
    """The run as if it had been trained on pictures of three classes."""
    config = json.loads((copy / "config.json").read_text())
    config["class_names"] = ["one", "two", "zero"]
    (copy / "config.json").write_text(json.dumps(config))
    return copy


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"classes": 3}, "are not the run's"),
        ({"class_names": np.array(list("abcdefghij"))}, "are not the run's"),
        ({"channels": 3}, "images of 3 channels; the run's model takes 1"),
    ],
)
def test_refuses_data_that_does_not_fit(refusal, trained, write_npz, changes, message):
    path = write_npz(**changes)
    line = refusal("evaluate", trained.path, "--data", path)
    assert str(path) in line
    assert message in line


def test_refuses_colour_pictures_for_a_grey_model(refusal, grey_run_of_pictures, write_digits, tmp_path):
    folder = write_digits(tmp_path / "pictures")
    assert "3 channels" in refusal("evaluate", grey_run_of_pictures, "--data", folder, "--json")


def test_refuses_missing_data(refusal, trained):
    for name in ("nowhere", "nowhere.npz"):
        assert f"No such file or folder: {name}. " in refusal("evaluate", trained.path, "--data", name)
    assert "'': expected" in refusal("evaluate", trained.path, "--data", "")


def test_refuses_what_is_no_run(refusal, tmp_path):
    assert "not a run folder" in refusal("evaluate", tmp_path)
    assert f"No such file or folder: {tmp_path}/no\n" in refusal("evaluate", f"{tmp_path}/no")


@pytest.mark.parametrize("content", ["", "[]", "3", "{}", '{"model_type": "convnext"}'])
def test_refuses_a_config_of_others(refusal, copy, content):
    (copy / "config.json").write_text(content)
    assert "config.json" in refusal("evaluate", copy)


def test_a_run_that_does_not_name_its_data_needs_some(refusal, cli, copy, digits_npz):
    """As a step of `roadmap train`."""
    config = json.loads((copy / "config.json").read_text())
    del config["data"], config["skip_unreadable"]
    (copy / "config.json").write_text(json.dumps(config))
    assert "--data is needed" in refusal("evaluate", copy)
    assert cli("evaluate", copy, "--data", digits_npz, "--json").code == 0


def test_a_run_with_a_step_of_a_users_own_is_scored(cli, copy, metrics):
    """Its module is not imported here, and evaluation does not need it."""
    config = json.loads((copy / "config.json").read_text())
    config["recipe"]["augmentation"] = [{"class": "mine>Noise", "stddev": 3.0}]
    (copy / "config.json").write_text(json.dumps(config))
    scores = json.loads(cli("evaluate", copy, "--json").out)
    assert scores["accuracy"] == pytest.approx(metrics["test_accuracy"], rel=1e-6)
    assert scores["loss"] == pytest.approx(metrics["test_loss"], rel=1e-5)


def test_refuses_a_recipe_of_others(refusal, copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "recipe": {"bad": 1}}))
    assert f"{copy}: not the recipe of a run in its config.json" in refusal("evaluate", copy)


def test_refuses_a_run_without_a_model(refusal, copy):
    (copy / "model.keras").unlink()
    assert f"No such file or folder: {copy / 'model.keras'}" in refusal("evaluate", copy)


def test_refuses_a_model_cut_off(refusal, copy):
    model = copy / "model.keras"
    model.write_bytes(model.read_bytes()[:-50])
    assert f"{model}: cut off or damaged" in refusal("evaluate", copy)


def test_refuses_when_the_data_of_the_run_is_gone(refusal, copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "data": str(copy / "gone.npz")}))
    assert "gone.npz" in refusal("evaluate", copy)


def test_names_the_extra_where_images_are_to_be_resized(refusal, trained, write_npz, without):
    without("PIL")
    assert "keras-convnext[cli]" in refusal("evaluate", trained.path, "--data", write_npz(side=11))


def test_the_accuracy_is_that_of_the_predictions(cli, trained, digits_npz):
    from keras_convnext.models import load_model

    test = load_npz(digits_npz).test
    outputs = load_model(trained.path / "model.keras").predict(test.pixels.astype("float32"), verbose=0)
    facts = json.loads(cli("evaluate", trained.path, "--json").out)
    assert facts["accuracy"] == pytest.approx((outputs.argmax(-1) == test.labels).mean(), rel=1e-6)


def test_the_accuracy_of_each_class_is_that_of_the_predictions(cli, trained, digits_npz):
    from keras_convnext.models import load_model

    test = load_npz(digits_npz).test
    outputs = load_model(trained.path / "model.keras").predict(test.pixels.astype("float32"), verbose=0)
    right = outputs.argmax(-1) == test.labels
    among_5 = (outputs > np.take_along_axis(outputs, test.labels[:, None], 1)).sum(-1) < 5
    facts = json.loads(cli("evaluate", trained.path, "--json").out)
    assert facts["top5_accuracy"] == pytest.approx(among_5.mean())
    assert facts["classes"] == [
        {"name": str(n), "images": (test.labels == n).sum(), "accuracy": pytest.approx(right[test.labels == n].mean())}
        for n in range(10)
        if (test.labels == n).any()
    ]


def test_each_class_is_printed_the_least_accurate_first(cli, trained):
    facts = json.loads(cli("evaluate", trained.path, "--json").out)
    lines = cli("evaluate", trained.path).out.splitlines()[-len(facts["classes"]) :]
    accuracies = [float(line.split()[1]) for line in lines]
    assert accuracies == sorted(accuracies)
    assert {line.split()[0] for line in lines} == {one["name"] for one in facts["classes"]}


def test_draws_the_predictions_into_a_new_folder(cli, trained, tmp_path):
    folder = tmp_path / "new" / "pictures"
    result = cli("evaluate", trained.path, "--output", folder, "--json")
    assert result.code == 0
    assert json.loads(result.out)["images"] == 24
    assert sorted(path.name for path in folder.iterdir()) == ["confusion.png", "mistakes.png"]
    for name in ("confusion.png", "mistakes.png"):
        assert (folder / name).read_bytes() == (trained.path / name).read_bytes()


def test_refuses_an_output_that_exists(refusal, trained, tmp_path):
    line = refusal("evaluate", trained.path, "--output", tmp_path)
    assert f"{tmp_path} already exists. Choose another name." in line


def test_refuses_an_output_that_cannot_be_made_before_scoring(refusal, trained):
    assert "is a file" in refusal("evaluate", trained.path, "--output", f"{__file__}/pictures")
    assert "got an empty one" in refusal("evaluate", trained.path, "--output", "")
