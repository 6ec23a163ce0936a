"""Processes of the package: what they import, wherever they start."""

import subprocess
import sys
from pathlib import Path

import pytest

import keras_convnext
from keras_convnext.processes import import_path, python_command

PACKAGE = Path(keras_convnext.__file__).parent


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, which holds modules that would end whoever imports them."""
    for name in ("keras", "keras_convnext", "json", "signal", "enum", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_calls_a_function_with_arguments(folder):
    done = subprocess.run(python_command("builtins:print", "one", "two words"), capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("one two words\n", "")


@pytest.mark.parametrize("first", ["", ".", "absolute"])
def test_imports_the_same_package(folder, monkeypatch, tmp_path_factory, first):
    """Where the current folder came into `sys.path` as notebooks and `sys.path.insert` put it there."""
    script = tmp_path_factory.mktemp("script") / "where.py"
    script.write_text("from importlib.util import find_spec\nprint(find_spec('keras_convnext').origin)")
    if first == "absolute":  # of another copy, which came after this one was imported
        first = str(tmp_path_factory.mktemp("copy"))
        Path(first, "keras_convnext.py").write_text("raise SystemExit('the wrong copy')")
    monkeypatch.setattr(sys, "path", [first, *sys.path])
    done = subprocess.run(python_command("runpy:run_path", str(script)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).parent == PACKAGE


def test_relative_paths_come_last_and_are_made_absolute(tmp_path, monkeypatch):
    (tmp_path / "source").mkdir()
    monkeypatch.chdir(tmp_path)
    hook = "__editable__.of_setuptools.finder.__path_hook__"
    before = [entry for entry in sys.path if entry and Path(entry).is_absolute()]
    monkeypatch.setattr(sys, "path", ["", "source", hook, Path("no text"), *before])
    path = import_path()
    assert path[-3:] == [str(tmp_path), str(tmp_path / "source"), hook]
    assert path[:-3] in (before, [str(PACKAGE.parent), *before])


def test_what_is_not_found_by_the_path_is_found_by_its_place(monkeypatch):
    """An editable installation: its finder knows the folder, `sys.path` does not."""
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if Path(entry or ".").resolve() != PACKAGE.parent])
    assert Path(import_path()[0]) == PACKAGE.parent
