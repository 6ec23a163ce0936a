"""Runs that go on: as they were started, to more epochs, and those that version 0.2.0 wrote.

`runs_0_2_0/BACKEND.tar.xz` has a run folder that the code of commit 18b8230 (version 0.2.0) wrote and left in its
second epoch of three, and `BACKEND.csv` the history of the same training to its end. They were made by a program that
puts

    VARIANTS["smallest"] = ConvNeXtConfig(depths=(2,), dims=(8,), stem_patch_size=4, kernel_size=3,
        layer_scale_init_value=1.0)

calls `keras_convnext.cli.main(["train", "--settings", "settings.json", "--output", BACKEND])` with the settings

    {"data": "digits", "variant": "smallest", "recipe": {"base": "digits", "epochs": 3, "batch_size": 64,
     "warmup_epochs": 1, "learning_rate": 0.02, "drop_path_rate": 0.3, "ema": 0.9, "workers": 1, "seed": 2,
     "augmentation": {"scale": [0.7, 1.0], "rand_augment": 0.0}}}

and, for the run that is cut off, replaces `RunRecord.on_train_batch_end` by a function that raises `KeyboardInterrupt`
in the fifth batch of the second epoch.
"""

import csv
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keras_convnext import Experiment
from keras_convnext.data import load_digits
from keras_convnext.models import load_model
from keras_convnext.training import Recipe, Run, RunRecord, create_run, fit
from keras_convnext.training.record import restore_state
from keras_convnext.training.resume import prepare_resumed

pytestmark = pytest.mark.once

OLD = Path(__file__).with_name("runs_0_2_0")


# === The version before


@pytest.fixture
def old_run(tmp_path, backend):
    """The run folder that the version before wrote on this backend."""
    with tarfile.open(OLD / f"{backend}.tar.xz") as archive:
        archive.extractall(tmp_path / "old", filter="data")
    return Run.open(tmp_path / "old")


def test_a_run_of_the_version_before_is_resumed_and_ends_as_it_would_have(rows_of, old_run, backend):
    assert old_run.config["keras_convnext"] == "0.2.0"
    run = Experiment.resume(old_run.path, verbose=0)
    assert run.metrics["epochs"] == 3
    with (OLD / f"{backend}.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))
    for row, old in zip(rows_of(run), expected, strict=True):
        for name in ("loss", "val_loss", "val_ema_loss", "learning_rate"):
            assert row[name] == pytest.approx(float(old[name]), rel=0.02, abs=1e-7), name
        for name in ("accuracy", "val_accuracy", "val_ema_accuracy"):
            assert row[name] == pytest.approx(float(old[name]), abs=0.03), name


def test_a_run_of_the_version_before_is_extended(rows_of, old_run):
    run = Experiment.resume(old_run.path, epochs=2, verbose=0)
    assert run.metrics["epochs"] == 2
    assert rows_of(run)[-1]["learning_rate"] == pytest.approx(1e-6, rel=1e-3)


def test_the_models_of_a_run_of_the_version_before_load(old_run):
    for source in (old_run.path, old_run.path / "model_raw.keras", old_run.last_state / "ema.keras"):
        assert load_model(source).num_classes == 10


def test_a_configuration_of_the_version_before_is_an_experiment(old_run, monkeypatch):
    config = {**old_run.config, "variant": "convnext_mini", "stem": 1}
    experiment = Experiment.from_config(config)
    recipe = experiment.build().recipe
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate, recipe.ema, recipe.seed) == (3, 64, 0.02, 0.9, 2)
    assert recipe.augmentation.scale == (0.7, 1.0)


# === Killed in its first epoch


def test_a_run_that_was_killed_in_its_first_epoch_starts_again_in_its_folder(rows_of, tmp_path):
    experiment = Experiment(
        data="digits",
        variant="convnext_mini",
        recipe={"base": "digits", "epochs": 2, "drop_path_rate": 0.2},
        output=str(tmp_path / "killed"),
    )
    killed = experiment.build().open_run()
    before = killed.config
    killed.model_path.touch()  # the last file before the state of an epoch is complete
    assert killed.last_state is None
    Experiment.resume(killed.path, verbose=0)
    whole = replace(experiment, output=str(tmp_path / "whole")).run(verbose=0)
    assert killed.config == before
    for row, other in zip(rows_of(killed), rows_of(whole), strict=True):
        for name in set(row) - {"seconds"}:
            assert row[name] == pytest.approx(other[name], rel=1e-5), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: run.write_json("metrics.json", {}), "this run has trained, and has no state/"),
        (lambda run: run.write_csv("history.csv", [{"epoch": 1}]), "this run has trained, and has no state/"),
        (lambda run: run.write_json("config.json", run.config | {"data": None}), "does not name the data"),
        (lambda run: run.write_json("config.json", run.config | {"variant": None}), "neither variant nor checkpoint"),
    ],
)
def test_refuses_to_start_again_what_it_cannot_repeat(tmp_path, change, message):
    run = Experiment(data="digits", variant="convnext_mini", output=str(tmp_path / "run")).build().open_run()
    change(run)
    with pytest.raises(ValueError, match=message):
        prepare_resumed(run.path)


# === More epochs


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """An `.npz` file of some digits."""
    digits = load_digits()
    train, test = digits.train.take(np.arange(72)), digits.test.take(np.arange(32))
    path = tmp_path_factory.mktemp("few") / "digits.npz"
    np.savez(path, x_train=train.pixels, y_train=train.labels, x_test=test.pixels, y_test=test.labels)
    return path


@pytest.fixture(scope="module")
def complete(tmp_path_factory, make_model, few):
    """A complete run of two epochs of three updates, one of them of warmup."""
    from keras_convnext.data import load_npz, with_validation

    recipe = Recipe(source="test", epochs=2, batch_size=16, learning_rate=0.01, warmup_epochs=1, image_size=(8, 8))
    data = with_validation(load_npz(few), recipe.seed)
    path = tmp_path_factory.mktemp("complete") / "run"
    run = create_run(path, make_model(), data, recipe, {"data": str(few), "variant": "tiny", "skip_unreadable": False})
    fit(make_model(), data, recipe, run, verbose=0)
    return run


@pytest.fixture
def run(complete, tmp_path):
    """A copy of it."""
    return Run(shutil.copytree(complete.path, tmp_path / "run"))


def test_a_complete_run_is_extended_by_the_schedule_of_all_its_epochs(rows_of, run):
    before = rows_of(run)
    assert before[-1]["learning_rate"] == pytest.approx(1e-6)
    training = prepare_resumed(run.path, epochs=4)
    assert run.metrics is not None  # nothing was written yet
    assert training.notes == (
        "2 epochs trained; from here on the learning rate follows the schedule of 4 epochs, 0.0075 next",
    )
    assert training.fit(verbose=0).path == run.path
    rows = rows_of(run)
    assert rows[:2] == before
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    schedule = [0.01 * 0.5 * (1 + np.cos(np.pi * (step - 3) / 9)) for step in (9, 12)]
    assert [row["learning_rate"] for row in rows[2:]] == pytest.approx(schedule, rel=1e-3, abs=2e-6)
    assert run.metrics["epochs"] == 4
    assert run.config["recipe"]["epochs"] == 4
    model, history = restore_state(run.last_state)
    assert (int(model.optimizer.iterations), len(history)) == (12, 4)


def test_an_extension_that_is_cut_off_goes_on_to_its_new_end(rows_of, run, monkeypatch):
    def interrupt(record, batch, logs=None):
        if int(record.model.optimizer.iterations) == 8:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunRecord, "on_train_batch_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            Experiment.resume(run.path, epochs=4, verbose=0)
    assert run.metrics is None
    assert run.last_state.name == "epoch-2"  # whose optimizer has the schedule of two epochs
    Experiment.resume(run.path, verbose=0)
    rows = rows_of(run)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert rows[2]["learning_rate"] == pytest.approx(0.01 * 0.5 * (1 + np.cos(np.pi * 6 / 9)), rel=1e-3)


def test_an_unfinished_run_may_be_made_shorter(run):
    (run.path / "metrics.json").unlink()
    config = run.config
    run.write_json("config.json", {**config, "recipe": {**config["recipe"], "epochs": 30}})
    assert Experiment.resume(run.path, epochs=3, verbose=0).metrics["epochs"] == 3


@pytest.mark.parametrize("epochs", [1, 2])
def test_refuses_epochs_that_are_not_more_than_were_trained(run, epochs):
    files = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=f"`epochs` must be more than the 2 that .*run has trained.*epochs={epochs}"):
        Experiment.resume(run.path, epochs=epochs)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == files


def test_refuses_a_complete_run_and_says_what_extends_it(run):
    with pytest.raises(ValueError, match=r"this run is complete\. To extend it, give more `epochs` than its 2"):
        Experiment.resume(run.path)


def test_a_run_as_it_was_started_keeps_its_schedule(run):
    """To the last digit: the optimizer is the one that was saved."""
    (run.path / "metrics.json").unlink()
    saved = load_model(run.last_state / "model.keras").optimizer.get_config()
    assert prepare_resumed(run.path).model.optimizer.get_config() == saved
    assert prepare_resumed(run.path).notes == ()


def test_refuses_a_run_that_does_not_name_its_data(run):
    (run.path / "metrics.json").unlink()
    run.write_json("config.json", {name: value for name, value in run.config.items() if name != "data"})
    with pytest.raises(ValueError, match=r"config\.json does not name the data"):
        Experiment.resume(run.path)


def test_refuses_a_backend_that_cannot_train(run, monkeypatch):
    import keras

    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(ValueError, match="numpy backend cannot train"):
        Experiment.resume(run.path, epochs=3)


@pytest.mark.slow
def test_a_mixed_precision_run_is_extended_too(few, tmp_path):
    """Its optimizer stands within one that scales the loss."""
    settings = {
        "data": few,
        "variant": "test_convnext2",
        "size": 32,
        "dtype": "mixed_float16",
        "recipe": "from_scratch",
    }
    run = Experiment(**settings, epochs=1, batch_size=31, output=tmp_path / "mixed").run(verbose=0)
    again = Experiment.resume(run.path, epochs=2, verbose=0)
    assert json.loads((again.path / "metrics.json").read_text())["epochs"] == 2
