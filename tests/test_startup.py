"""The command while it starts: a wrong backend, a broken `keras.json` and Ctrl-C end it with one line."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from keras_convnext import startup
from keras_convnext.extras import import_keras

COMMAND = [sys.executable, "-m", "keras_convnext", "list", "convnext_atto"]
PROGRAM = [sys.executable, "-c", "import keras_convnext"]


def start(command, **environment):
    """Runs a program to its end: its exit code, and the lines on stderr that are not a library's log."""
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300)
    return done.returncode, [line for line in done.stderr.splitlines() if "convnext" in line or "Error" in line]


@pytest.mark.parametrize("name", ["pytorch", "Torch", "nothing"])
def test_an_unknown_backend_takes_one_line(name):
    code, lines = start(COMMAND, KERAS_BACKEND=name)
    assert (code, len(lines)) == (2, 1)
    assert lines[0] == (
        f"keras-convnext: KERAS_BACKEND: Keras has no backend {name!r}. Expected tensorflow, jax or torch."
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backend": "pytorch"}, "Keras has no backend 'pytorch'. Expected tensorflow, jax or torch."),
        ([], "expected an object of Keras's settings"),
        ({"floatx": "float8"}, "Keras does not take floatx='float8'"),
        ({"epsilon": "small"}, "Keras does not take epsilon='small'"),
        ({"image_data_format": "last"}, "Keras does not take image_data_format='last'"),
    ],
)
def test_a_broken_keras_json_takes_one_line_that_names_it(tmp_path, monkeypatch, settings, message):
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    code, lines = start(COMMAND, KERAS_HOME=str(tmp_path))
    assert (code, len(lines)) == (2, 1), lines
    assert lines[0].startswith(f"keras-convnext: {tmp_path / 'keras.json'}: {message}")


def test_a_program_that_imports_the_package_gets_the_same_as_an_error():
    code, lines = start(PROGRAM, KERAS_BACKEND="pytorch")
    assert code == 1
    assert lines[-1] == "ValueError: KERAS_BACKEND: Keras has no backend 'pytorch'. Expected tensorflow, jax or torch."


def test_a_backend_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'jax'", name="jax")

    monkeypatch.setattr("importlib.import_module", missing)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(
        ModuleNotFoundError, match=r'KERAS_BACKEND names, needs jax, .*pip install "keras-convnext\[jax'
    ):
        import_keras()


def test_a_backend_that_is_broken_is_named(monkeypatch):
    def broken(name):
        raise OSError("libtorch.so: cannot open shared object file")

    monkeypatch.setattr("importlib.import_module", broken)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(ImportError, match=r"backend torch, .* cannot be imported: libtorch\.so: cannot open"):
        import_keras()


# The program sends the signal to itself as soon as Keras's import has begun.
INTERRUPTED = """
import os, runpy, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "keras":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
sys.argv = ["/somewhere/keras-convnext", "list"]
from keras_convnext.cli import main
print("imported")
sys.exit(main())
"""


def test_ctrl_c_amid_the_imports_ends_the_command_with_130():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=300)
    assert done.returncode == 130
    assert done.stdout == ""
    assert done.stderr.strip() == "keras-convnext: interrupted."


def test_ctrl_c_of_other_programs_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    before = signal.getsignal(signal.SIGINT)
    startup.keep_interrupts()
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_is_the_commands_again_once_it_runs(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/env/bin/keras-convnext", "list"])
    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        startup.keep_interrupts()
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        startup.give_interrupts_back()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("argv", "original", "expected"),
    [
        (["/env/bin/keras-convnext", "list"], [], True),
        (["keras-convnext.exe"], [], True),
        (["-m", "list"], ["python", "-u", "-m", "keras_convnext", "list"], True),
        (["-m"], ["python", "-m", "pytest"], False),
        (["train.py", "keras_convnext"], ["python", "train.py", "keras_convnext"], False),
        (["-c"], ["python", "-c", "import keras_convnext"], False),
        ([], [], False),
    ],
)
def test_the_command_is_told_from_other_programs(monkeypatch, argv, original, expected):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", original)
    assert startup.is_command() is expected
