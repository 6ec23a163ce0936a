"""Ctrl-C: a training in a process of its own that is sent the signal."""

import signal
import subprocess
import sys
import time

import pytest

from keras_convnext.models import load_model
from keras_convnext.training import Run
from keras_convnext.training.record import restore_state

# Where a shell started the tests in the background, SIGINT may be ignored: the process takes it back.
START = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from keras_convnext.cli import main
from keras_convnext.variants import VARIANTS, ConvNeXtConfig
VARIANTS["tiny"] = ConvNeXtConfig(depths=(1, 1), dims=(8, 16), stem_patch_size=1)
sys.exit(main())
"""


@pytest.fixture
def train(tmp_path):
    """A function: starts a training and returns its process, which ends with the test at the latest."""
    processes = []

    def start(*options):
        command = [sys.executable, "-u", "-c", START, "train", "--variant", "tiny", *map(str, options)]
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


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
    assert f"Go on with: keras-convnext train --resume {run.path}" in err
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
