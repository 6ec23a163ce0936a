"""The command line as a whole: exit codes, help, and `python -m keras_convnext`."""

import os
import subprocess
import sys

import keras
import pytest

from keras_convnext.cli import COMMANDS, main


def run_module(*arguments, cwd):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-m", "keras_convnext", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as exited:
        main(["--help"])
    assert exited.value.code == 0
    out = capsys.readouterr().out
    rows = [line for line in out.splitlines() if line.startswith("    ") and line[4] != " "]
    assert [row.split()[0] for row in rows] == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_describes_its_options(command, capsys):
    with pytest.raises(SystemExit) as exited:
        main([command, "--help"])
    assert exited.value.code == 0
    out = capsys.readouterr().out
    assert f"usage: keras-convnext {command}" in out
    assert "None" not in out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["list", "a", "b"],
        ["train", "--epochs", "0"],
        ["train", "--epochs", "-1"],
        ["train", "--batch", "1.5"],
        ["train", "--size", "big"],
        ["train", "--seed", "x"],
        ["train", "--recipe", "nothing"],
        ["evaluate"],
        ["predict", "run"],
        ["predict", "run", "a.png", "--top", "0"],
        ["summary"],
        ["summary", "convnext_mini", "--classes", "-1"],
    ],
)
def test_wrong_arguments_exit_with_2_and_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    assert exited.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("keras-convnext")


@pytest.mark.once
def test_an_interrupt_while_data_is_read_exits_with_130(cli, trained, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_convnext.models.load.load_keras_file", interrupted)
    assert cli("evaluate", trained.path).code == 130


def test_an_interrupt_while_work_is_done_exits_with_130(cli, trained, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.Model, "evaluate", interrupted)
    assert cli("evaluate", trained.path).code == 130


@pytest.mark.once
def test_module_lists(tmp_path):
    result = run_module("list", "*_ol?", cwd=tmp_path)
    assert result.returncode == 0
    names = [line.split()[0] for line in result.stdout.splitlines()[1:]]
    assert names == [f"convnext_{size}_ols" for size in ("zepto_rms", "atto", "femto", "pico", "nano")]


@pytest.mark.once
def test_a_training_shows_warnings_in_a_line_and_no_log_lines(tmp_path, digits_npz):
    """Also with a backend other than TensorFlow, which Keras imports where it is installed."""
    options = ["--variant", "test_convnext2", "--size", "32", "--batch", "32", "--epochs", "1", "--lr", "0.5"]
    result = run_module("train", "--data", str(digits_npz), *options, "--recipe", "from_scratch", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    warning = "keras-convnext: warning: The learning rate is 0.5: for AdamW, rates from 1e-06 to 0.02 make sense."
    assert result.stderr.splitlines() == [warning]


@pytest.mark.slow
def test_module_refuses_with_2_and_one_line(tmp_path):
    result = run_module("train", "--variant", "convnext_tini", cwd=tmp_path)
    assert result.returncode == 2
    (line,) = [line for line in result.stderr.splitlines() if "convnext" in line]
    assert line.startswith("keras-convnext train: Unknown variant 'convnext_tini': the nearest names are convnext_tiny")
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []
