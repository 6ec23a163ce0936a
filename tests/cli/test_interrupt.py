"""Ctrl-C: a training in a separate process, which is sent the signal."""

import signal
import subprocess
import time

import pytest

from keras_convnext.models import load_model
from keras_convnext.training import Run
from keras_convnext.training.record import restore_state

pytestmark = pytest.mark.once


@pytest.fixture
def train(start, tmp_path):
    """A function: starts a training and returns its process."""

    def start_training(*options):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "errors": "replace"}
        return start("train", "--variant", "tiny", *options, cwd=tmp_path, **pipes)

    return start_training


def interrupt(process):
    """Sends Ctrl-C and returns the exit code and what was printed to stderr."""
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    return process.returncode, err


def wait_for_line(process, text):
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"The training ended too early: {process.stderr.read()}")


def test_after_an_epoch_leaves_its_state_and_the_way_to_go_on(train, digits_npz, tmp_path):
    run = Run(tmp_path / "run")
    process = train("--data", digits_npz, "--epochs", 1000, "--batch", 16, "--output", run.path)
    until = time.monotonic() + 240
    while not (run.path / "history.csv").exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.05)
    code, err = interrupt(process)
    assert code == 130
    assert f"Resume with: keras-convnext train --resume {run.path}" in err
    assert "Traceback" not in err
    assert run.load_model().num_classes == 10
    model, history = restore_state(run.last_state)
    assert run.last_state.name == f"epoch-{len(history)}"
    steps_per_epoch = 4
    assert int(model.optimizer.iterations) == steps_per_epoch * len(history)
    assert not (run.path / "metrics.json").exists()
    assert load_model(run.last_state / "model.keras").num_classes == 10


def test_before_an_epoch_is_complete_leaves_nothing_in_the_way(train, tmp_path):
    run = Run(tmp_path / "run")
    process = train("--data", "digits", "--batch", 1, "--output", run.path)
    wait_for_line(process, "run folder")
    code, err = interrupt(process)
    assert code == 130
    assert f"Interrupted before the first epoch was complete: {run.path} holds no model. The folder was removed." in err
    assert "Traceback" not in err
    assert not run.path.exists()
