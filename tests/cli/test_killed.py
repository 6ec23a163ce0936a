"""Trainings that are killed, or that cannot write: what they leave, and that they end alike when resumed."""

import functools
import json
import signal
import subprocess
import time

import numpy as np
import pytest

from keras_convnext.data import digit_scenes
from keras_convnext.models import load_model
from keras_convnext.training import Run

NO_LARGE_FILES = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
"""
EPOCHS = 8


@pytest.fixture
def train(start, tmp_path):
    """A function: starts a training and returns its process."""

    def start_training(*options, **how):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return start("train", *options, cwd=tmp_path, **how, **pipes)

    return start_training


@pytest.fixture
def settings(digits_npz, tmp_path):
    """A file of settings: augmentation, drop path, a moving average, an order: all that is drawn and kept."""
    recipe = {
        "source": "test",
        "epochs": EPOCHS,
        "batch_size": 8,
        "learning_rate": 0.004,
        "warmup_epochs": 1,
        "drop_path_rate": 0.3,
        "ema": 0.9,
        "augmentation": {"scale": [0.5, 1.0]},
        "workers": 1,
        "seed": 2,
    }
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"data": str(digits_npz), "variant": "tiny", "recipe": recipe}))
    return path


@pytest.fixture
def scenes(tmp_path, write_coco):
    """A folder in COCO's format, of a few small scenes."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    data = digit_scenes(count=20, size=32)
    for part in ("train", "validation", "test"):
        write_coco(folder, part, getattr(data, part))
    return folder


def finish(process):
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out[-3000:]


def wait_for(condition, process):
    until = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, process.stdout.read()[-3000:]
        assert time.monotonic() < until
        time.sleep(0.01)


def weights_of(run, name):
    return load_model(run.last_state / name).get_weights()


THREE_TIMES = (0.0, 0.02, 0.1)


def assert_ends_alike_when_killed(train, settings, tmp_path, score, epochs, delays=THREE_TIMES):
    """Killed while an epoch is trained, and while its state is written, as it comes; resumed, and killed again.

    One kill for each delay, in seconds since the folder of the state appeared.
    """
    whole, killed = Run(tmp_path / "whole"), Run(tmp_path / "killed")
    finish(train("--settings", settings, "--output", whole.path))
    for epoch, delay in enumerate(delays, start=2):
        options = ["--resume", killed.path] if epoch > 2 else ["--settings", settings, "--output", killed.path]
        process = train(*options)
        wait_for(lambda epoch=epoch: any((killed.path / "state").glob(f"*epoch-{epoch}")), process)  # or in the making
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert killed.last_state.name != f"epoch-{epochs}"
    assert not (killed.path / "metrics.json").exists()
    finish(train("--resume", killed.path))
    assert killed.last_state.name == f"epoch-{epochs}"
    for name in ("model.keras", "ema.keras"):
        for one, other in zip(weights_of(whole, name), weights_of(killed, name), strict=True):
            np.testing.assert_allclose(other, one, rtol=0, atol=1e-6)
    first, second = (json.loads((run.path / "metrics.json").read_text()) for run in (whole, killed))
    assert second[f"test_{score}"] == first[f"test_{score}"]
    rows = [(run.path / "history.csv").read_text().splitlines() for run in (whole, killed)]
    assert len(rows[0]) == len(rows[1]) == epochs + 1


@pytest.mark.parametrize(
    "delays",
    [pytest.param((0.02,), marks=pytest.mark.once), pytest.param(THREE_TIMES, marks=pytest.mark.slow)],
    ids=len,
)
def test_a_run_that_was_killed_ends_as_one_that_was_not(train, settings, tmp_path, delays):
    assert_ends_alike_when_killed(train, settings, tmp_path, "accuracy", EPOCHS, delays)


@pytest.mark.slow
@pytest.mark.parametrize(("task", "score"), [("detection", "map"), ("segmentation", "miou")])
def test_a_run_on_annotated_images_killed_three_times_ends_as_one_that_was_not(task, score, train, scenes, tmp_path):
    recipe = {
        **{"source": "test", "epochs": 5, "batch_size": 4, "learning_rate": 1e-3, "warmup_epochs": 1},
        **{"drop_path_rate": 0.3, "ema": 0.9, "clip_norm": 1.0, "seed": 2},
        "augmentation": [{"class": "RandomFlip"}, {"class": "RandomResizedCrop", "scale": [0.5, 1.0]}],
    }
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"data": str(scenes), "task": task, "size": 32, "recipe": recipe}))
    started = functools.partial(train, needs_tensorflow=task == "detection")  # for keras-cv
    assert_ends_alike_when_killed(started, settings, tmp_path, score, epochs=5)


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_is_extended_goes_on_to_the_new_end(train, settings, tmp_path):
    """Killed in the first epoch of the extension: the state is that of before, with the schedule of before."""
    run = Run(tmp_path / "run")
    config = json.loads(settings.read_text())
    config["recipe"]["epochs"] = 1
    settings.write_text(json.dumps(config))
    finish(train("--settings", settings, "--output", run.path))
    process = train("--resume", run.path, "--epochs", EPOCHS)
    wait_for(lambda: run.metrics is None and run.config["recipe"]["epochs"] == EPOCHS, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finish(train("--resume", run.path))
    assert run.metrics["epochs"] == EPOCHS
    rates = [float(row["learning_rate"]) for row in run.read_csv("history.csv")]
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[1] > 0.003


@pytest.mark.slow
def test_where_nothing_more_can_be_written_the_last_state_stays(train, settings, tmp_path):
    """A limit on the size of files stands in for a full disk: h5py and zipfile get the same kind of error."""
    run = Run(tmp_path / "run")
    process = train("--settings", settings, "--output", run.path)
    wait_for(lambda: run.last_state is not None, process)
    process.kill()
    process.communicate()
    before, best = run.last_state, run.model_path.read_bytes()
    kept = {file.name: file.read_bytes() for file in before.iterdir()}
    process = train("--resume", run.path, before=NO_LARGE_FILES)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 1, out[-3000:]
    assert f"Resume with: keras-convnext train --resume {run.path}" in out
    assert run.last_state == before
    assert {file.name: file.read_bytes() for file in before.iterdir()} == kept
    assert run.model_path.read_bytes() == best
    finish(train("--resume", run.path))


@pytest.mark.once
def test_a_loss_that_is_no_number_stops_the_run(train, settings, tmp_path):
    config = json.loads(settings.read_text())
    config["recipe"] |= {"learning_rate": 1e30, "warmup_epochs": 3, "batch_size": 24}
    settings.write_text(json.dumps(config))
    process = train("--settings", settings, "--output", tmp_path / "run")
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 1, out[-3000:]
    assert "The learning rate is 1e+30: for AdamW, rates from 1e-06 to 0.02 make sense" in out
    (line,) = [line for line in out.splitlines() if line.startswith("keras-convnext train: ")]
    assert line.startswith("keras-convnext train: The loss is nan after step")
    assert "at a learning rate of" in line
    assert "No epoch was complete before" in line or "The last good state is" in line
