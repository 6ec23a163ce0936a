"""Commands called in this process, small data for them, and runs that they left."""

import contextlib
import io
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from keras_convnext.cli import main
from keras_convnext.data import load_digits
from keras_convnext.variants import VARIANTS, ConvNeXtConfig

TINY = ConvNeXtConfig(depths=(1, 1), dims=(8, 16), stem_patch_size=1, image_size=8, source="tests")
"""A variant that trains in seconds on every backend; called `tiny` where a test asks for it."""

# Where a shell started the tests in the background, SIGINT may be ignored: the process takes it back.
START = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from keras_convnext.cli import main
from keras_convnext.variants import VARIANTS, ConvNeXtConfig
VARIANTS["tiny"] = ConvNeXtConfig(depths=(1, 1), dims=(8, 16), stem_patch_size=1, layer_scale_init_value=1.0)
sys.exit(main())
"""
"""A command with a variant that trains in seconds."""


@pytest.fixture
def cli(capsys):
    """A function: runs a command and returns its exit `.code` and what it printed, `.out` and `.err`."""

    def call(*arguments):
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except KeyboardInterrupt:  # would end pytest itself
            pytest.fail("The interrupt came through.")
        printed = capsys.readouterr()
        return SimpleNamespace(code=code, out=printed.out, err=printed.err)

    return call


@pytest.fixture
def refusal(cli):
    """A function: runs a command that must be refused, with exit code 2 and one line, and returns the line."""

    def call(*arguments):
        result = cli(*arguments)
        assert result.code == 2
        assert result.err.count("\n") == 1, result.err
        assert result.err.startswith(f"keras-convnext {arguments[0]}: ")
        return result.err

    return call


@pytest.fixture
def without(monkeypatch):
    """A function: makes a package look as if it were not installed."""

    def block(package):
        for module in [name for name in sys.modules if name.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setattr(sys, "meta_path", [Missing(package), *sys.meta_path])

    return block


class Missing:
    """An importer that finds no such package."""

    def __init__(self, package):
        self.package = package

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == self.package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.fixture
def tiny(monkeypatch):
    """The name of a variant that trains in seconds."""
    monkeypatch.setitem(VARIANTS, "tiny", TINY)
    return "tiny"


@pytest.fixture
def metrics():
    """What a training returns where `fitted` stands in for it."""
    return {
        "test_accuracy": 0.5,
        "test_loss": 1.0,
        "val_accuracy": 0.75,
        "val_loss": 1.0,
        "best_epoch": 2,
        "epochs": 3,
        "seconds": 4.0,
    }


@pytest.fixture
def fitted(monkeypatch, metrics):
    """The trainings that `train` starts: `fit` is replaced by a function that keeps what it is given."""
    calls = []

    def fit(model, data, recipe, run, history=(), callbacks=(), verbose="auto", engine=None):
        calls.append(SimpleNamespace(model=model, data=data, recipe=recipe, run=run, history=list(history)))
        run.write_json("metrics.json", metrics)
        return metrics

    monkeypatch.setattr("keras_convnext.training.prepared.fit", fit)
    return calls


@pytest.fixture
def empty_directory(tmp_path, monkeypatch):
    """The current directory, empty."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def start(backend, hide_packages):
    """A function: starts a command in a separate process, which ends with the test at the latest.

    `before` is a program that runs before the command; further options are those of `subprocess.Popen`. Only the
    process of a test on TensorFlow imports it, or one that `needs_tensorflow`, as keras-cv does: with the others, Keras
    would for a seed alone, for seconds.
    """
    processes = []

    def start(*arguments, before="", needs_tensorflow=False, **options):
        hidden = "" if needs_tensorflow else hide_packages({"tensorflow"} - {backend})
        words = [word if isinstance(word, bytes) else str(word) for word in arguments]
        processes.append(subprocess.Popen([sys.executable, "-u", "-c", hidden + before + START, *words], **options))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture(scope="session")
def digits_npz(tmp_path_factory):
    """An `.npz` file of some digits: 80 to train on, 24 to test with."""
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    digits = load_digits()
    train, test = digits.train.take(np.arange(80)), digits.test.take(np.arange(24))
    np.savez(path, x_train=train.pixels, y_train=train.labels, x_test=test.pixels, y_test=test.labels)
    return path


@pytest.fixture
def write_digits():
    """A function: writes digits of three classes as PNG files into `folder/CLASS/`, and returns the folder."""

    def write(folder, count=4, start=0):
        digits = load_digits().train
        for label, name in enumerate(("zero", "one", "two")):
            (folder / name).mkdir(parents=True)
            for number in np.flatnonzero(digits.labels == label)[start : start + count]:
                Image.fromarray(digits.pixels[number, ..., 0]).resize((12, 10)).save(folder / name / f"{number}.png")
        return folder

    return write


@pytest.fixture(scope="session")
def trained(tmp_path_factory, digits_npz):
    """A finished run of two epochs: `.path` of its folder, and `.out`, what was printed meanwhile."""
    path = tmp_path_factory.mktemp("trained") / "run"
    command = f"train --data {digits_npz} --variant tiny --epochs 2 --batch 24 --seed 3 --output {path}"
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.setitem(VARIANTS, "tiny", TINY)
        assert main(command.split()) == 0
    return SimpleNamespace(path=path, out=out.getvalue())


@pytest.fixture
def few_images(tmp_path):
    """An .npz file with a few images of 32 pixels."""
    rng, path = np.random.default_rng(0), tmp_path / "few.npz"
    arrays = {}
    for part, count in (("train", 80), ("test", 20)):
        arrays[f"x_{part}"] = rng.integers(0, 256, (count, 32, 32, 3), dtype="uint8")
        arrays[f"y_{part}"] = np.arange(count) % 2
    np.savez(path, **arrays)
    return path
