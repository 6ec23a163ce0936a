"""Processes that are killed, a run that is resumed by another number of processes, and what cannot be distributed."""

import signal
import time

import keras
import numpy as np
import pytest

from keras_convnext.models import load_model
from keras_convnext.training import Run

BACKEND = keras.backend.backend()
SECONDS = 60
"""Within this time after a process was killed, all processes of the training have ended."""

ONE_PROCESS = BACKEND == "tensorflow"


def wait_for_epoch(run):
    until = time.monotonic() + 240
    while run.last_state is None and time.monotonic() < until:
        time.sleep(0.01)


def assert_equal_weights(run, other):
    weights = (load_model(one.last_state / "model.keras").get_weights() for one in (run, other))
    for one, another in zip(*weights, strict=True):
        np.testing.assert_allclose(another, one, rtol=0, atol=2e-5)


@pytest.mark.skipif(not ONE_PROCESS, reason="JAX and torch take several processes")
def test_tensorflow_refuses_several_processes_in_one_line(launch, settings, tmp_path):
    processes = launch(2, 1, "--settings", settings(), "--distribute", "data", "--output", tmp_path / "run")
    for process in processes:
        printed, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 2
        assert "keras-convnext train: TensorFlow trains on the devices of one process" in printed
    assert not (tmp_path / "run").exists()


@pytest.mark.once
def test_several_processes_need_distribute(launch, settings, tmp_path):
    (process, other) = launch(2, 1, "--settings", settings(), "--output", tmp_path / "run")
    for one in (process, other):
        printed, _ = one.communicate(timeout=SECONDS)
        assert one.returncode == 2
        assert "keras-convnext train: The launcher started 2 processes, and each would do the same training" in printed


@pytest.mark.slow
def test_a_batch_must_be_divisible_among_the_devices(launch, settings, tmp_path):
    shape = (1, 3) if BACKEND in ("tensorflow", "jax") else (3, 1)
    processes = launch(*shape, "--settings", settings(), "--distribute", "data", "--output", tmp_path / "run")
    printed = [process.communicate(timeout=SECONDS)[0] for process in processes]
    for process, text in zip(processes, printed, strict=True):
        assert process.returncode == 2, text
        assert "A batch of 16 images cannot be divided among 3 devices" in text
        assert "ended" not in text


@pytest.mark.skipif(ONE_PROCESS, reason="one process has all devices")
def test_a_process_without_the_first_says_so_in_one_line(launch, settings, tmp_path):
    options = ("--settings", settings(), "--distribute", "data", "--output", tmp_path / "run")
    first, other = launch(2, 1, *options, MEET_SECONDS="3")
    first.kill()  # while it imports
    first.communicate()
    printed, _ = other.communicate(timeout=SECONDS)
    assert other.returncode == 1
    line = printed.splitlines()[-1]
    assert line.startswith("keras-convnext train: Process 1 of 2 could not reach process 0 at localhost:")
    assert line.endswith(
        "within 3 seconds (Connection refused). Check that process 0 runs there, and that its port is open."
    )
    assert "Traceback" not in printed


@pytest.mark.slow
@pytest.mark.skipif(ONE_PROCESS, reason="one process has all devices")
def test_a_full_disk_ends_all_processes_with_one_line(launch, settings, tmp_path):
    options = ("--settings", settings(), "--distribute", "data", "--output", tmp_path / "run")
    processes = launch(2, 1, *options, LARGEST_FILE="20000")
    first, other = (process.communicate(timeout=2 * SECONDS)[0] for process in processes)
    assert [process.returncode for process in processes] == [1, 1], first + other
    (line,) = [line for line in (first + other).splitlines() if line.startswith("keras-convnext")]
    assert "File too large" in line and line.endswith("Start again.")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.skipif(not ONE_PROCESS, reason="the next test kills one of several processes")
def test_a_killed_process_of_two_devices_resumes(launch, outputs_of, settings, tmp_path):
    whole, killed = Run(tmp_path / "whole"), Run(tmp_path / "killed")
    options = ("--settings", settings(epochs=2), "--distribute", "data", "--output")
    outputs_of(launch(1, 2, *options, whole.path))
    (process,) = launch(1, 2, *options, killed.path)
    wait_for_epoch(killed)
    process.kill()
    process.communicate()
    assert killed.metrics is None and killed.last_state.name == "epoch-1"
    outputs_of(launch(1, 2, "--resume", killed.path))
    assert_equal_weights(whole, killed)


@pytest.mark.skipif(ONE_PROCESS, reason="one process has all devices")
@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_process_ends_the_others_which_name_it_and_the_run_resumes(launch, outputs_of, settings, tmp_path, lost):
    whole, killed = Run(tmp_path / "whole"), Run(tmp_path / "killed")
    options = ("--settings", settings(epochs=3), "--distribute", "data", "--output")
    outputs_of(launch(2, 1, *options, whole.path))
    processes = launch(2, 1, *options, killed.path)
    wait_for_epoch(killed)
    processes[lost].send_signal(signal.SIGKILL)
    started = time.monotonic()
    printed, _ = processes[1 - lost].communicate(timeout=SECONDS)
    assert time.monotonic() - started < SECONDS
    processes[lost].communicate()
    assert processes[1 - lost].returncode == 1
    assert f"Process {lost} of 2 (counted from 0) ended, and with it this training." in printed
    assert killed.metrics is None and killed.last_state.name in ("epoch-1", "epoch-2")
    outputs_of(launch(4 if BACKEND == "torch" else 1, 1 if BACKEND == "torch" else 4, "--resume", killed.path))
    assert_equal_weights(whole, killed)
    assert len(killed.read_csv("history.csv")) == 3
