"""The processes of the augmentation's benchmark. What it measures is tested by tests/cli/test_augment.py."""

import subprocess

import pytest

from keras_convnext.benchmarking import pipeline


@pytest.fixture
def started(monkeypatch):
    """The processes that are started; those after the first cannot be."""
    processes, popen = [], subprocess.Popen

    def start(command, **options):
        if processes:
            raise OSError(12, "Cannot allocate memory")
        processes.append(popen(command, **options))
        return processes[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    return processes


def test_no_process_is_left_where_the_second_does_not_start(started, tmp_path):
    with pytest.raises(OSError, match="Cannot allocate memory"):
        pipeline.compare(tmp_path)
    (process,) = started
    assert process.returncode is not None
    assert process.stdin.closed
    assert process.stdout.closed


@pytest.mark.slow
def test_pipes_are_closed_after_a_process_that_ends_early(monkeypatch, tmp_path):
    """Its folder has no images."""
    processes, popen = [], subprocess.Popen
    monkeypatch.setattr(
        subprocess,
        "Popen",
        lambda *arguments, **options: processes.append(popen(*arguments, **options)) or processes[-1],
    )
    with pytest.raises(RuntimeError, match="The timed process of ours ended early"):
        pipeline.compare(tmp_path)
    assert [process.returncode is not None for process in processes] == [True, True]
    assert all(process.stdin.closed and process.stdout.closed for process in processes)
