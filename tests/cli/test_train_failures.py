"""Trainings that fail between two epochs: one line says what failed and how to resume, on every backend."""

import json

import keras
import pytest

from keras_convnext.cli import evaluate
from keras_convnext.data import augment_workers
from keras_convnext.roadmap import time_budget
from keras_convnext.training import Run

# TensorFlow wraps an error of the data pipeline in its own error type. JAX and PyTorch raise it unchanged.
AS_ON_TORCH = () if keras.backend.backend() == "tensorflow" else pytest.mark.once
AUGMENTATION = {"scale": [0.5, 1.0]}


@pytest.fixture
def pictures(write_digits, tmp_path):
    """A folder of images with a training and a validation part."""
    folder = tmp_path / "pictures"
    write_digits(folder / "train", 6)
    write_digits(folder / "val", 2, start=6)
    return folder


@pytest.fixture
def train(cli, tiny, pictures, tmp_path):
    """A function: trains on the pictures, and returns the result and the run."""

    def call(**recipe):
        recipe = {"source": "test", "epochs": 6, "batch_size": 4, "learning_rate": 0.001, "warmup_epochs": 0, **recipe}
        settings = tmp_path / "settings.json"
        settings.write_text(json.dumps({"data": str(pictures), "variant": tiny, "size": 8, "recipe": recipe}))
        result = cli("train", "--settings", settings, "--output", tmp_path / "run")
        return result, Run(tmp_path / "run")

    return call


@pytest.fixture
def after_an_epoch(monkeypatch):
    """A function: has another one called when the state of an epoch was written."""
    write_state = Run.write_state

    def call_then(function):
        def write_and_call(*arguments):
            place = write_state(*arguments)
            function()
            return place

        monkeypatch.setattr(Run, "write_state", write_and_call)

    return call_then


def check_failed(result, run, message):
    assert result.code == 1
    (line,) = [line for line in result.err.splitlines() if line.startswith("keras-convnext train: ")]
    assert message in line
    assert run.last_state is not None
    assert result.err.endswith(f"keras-convnext train --resume {run.path}\n")


@pytest.mark.parametrize(
    ("part", "augmentation"),
    [
        pytest.param("train", None, id="train-plain", marks=AS_ON_TORCH),
        pytest.param("train", AUGMENTATION, id="train-augmented", marks=pytest.mark.once),
        pytest.param("val", None, id="val-plain", marks=pytest.mark.once),
        pytest.param("val", AUGMENTATION, id="val-augmented", marks=pytest.mark.once),
    ],
)
def test_an_image_that_becomes_unreadable(train, pictures, after_an_epoch, part, augmentation):
    def damage():
        for file in (pictures / part).rglob("*.png"):
            file.write_bytes(b"damaged")

    after_an_epoch(damage)
    result, run = train(augmentation=augmentation, workers=1)
    check_failed(result, run, "not a readable image")


@pytest.mark.once
def test_a_process_of_the_augmentation_that_dies(train, after_an_epoch, monkeypatch):
    started = []

    class Process(augment_workers._Process):
        def __init__(self):
            super().__init__()
            started.append(self)

    monkeypatch.setattr(augment_workers, "_Process", Process)
    after_an_epoch(lambda: [process.kill() for process in started])
    result, run = train(augmentation=AUGMENTATION, workers=1)
    check_failed(result, run, "A process that augments images ended by signal SIGKILL")


@pytest.mark.once
def test_an_image_that_becomes_unreadable_on_the_path(cli, pictures, after_an_epoch, tmp_path):
    after_an_epoch(lambda: [file.write_bytes(b"damaged") for file in pictures.rglob("*.png")])
    options = ["--width-divisor", "32", "--steps", "resnet_enhanced", "--output", tmp_path / "path"]
    result = cli("roadmap", "train", "--data", pictures, *options)
    assert result.code == 1
    assert "keras-convnext roadmap: " in result.err and "not a readable image" in result.err
    assert result.err.endswith(f"keras-convnext roadmap resume {tmp_path / 'path'}\n")


def test_a_failure_while_the_path_is_timed(cli, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("no memory is left")

    monkeypatch.setattr(time_budget, "seconds_per_epoch", fail)
    result = cli("roadmap", "train", "--minutes", "1")
    assert result.code == 1
    assert result.err.endswith("\nkeras-convnext roadmap: no memory is left.\n")


def out_of_memory(*arguments, **options):
    """What a backend raises for want of memory: TensorFlow an error that is no RuntimeError."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nwith shape[8]")
    raise RuntimeError("OOM when allocating tensor\nwith shape[8]")


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_backend_without_memory_takes_one_line(cli, trained, pictures, monkeypatch, command):
    monkeypatch.setattr(keras.Model, command, out_of_memory)
    images = [next(pictures.rglob("*.png"))] if command == "predict" else []
    result = cli(command, trained.path, *images)
    assert result.code == 1
    assert result.err.startswith(f"keras-convnext {command}: ") and result.err.count("\n") == 1
    assert "OOM when allocating tensor" in result.err


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_so_does_one_without_memory_for_the_model(cli, trained, pictures, monkeypatch, command):
    monkeypatch.setattr("keras_convnext.cli.source.load_model_and_facts", out_of_memory)
    images = [next(pictures.rglob("*.png"))] if command == "predict" else []
    result = cli(command, trained.path, *images)
    assert result.code == 1
    assert result.err.startswith(f"keras-convnext {command}: ") and result.err.count("\n") == 1


@pytest.mark.once
def test_an_image_that_becomes_unreadable_while_a_run_is_scored(cli, train, pictures, monkeypatch):
    _, run = train(epochs=1)
    load_run_data = evaluate.load_run_data

    def load_and_damage(*arguments, **options):
        data = load_run_data(*arguments, **options)
        for file in pictures.rglob("*.png"):
            file.write_bytes(b"damaged")
        return data

    monkeypatch.setattr(evaluate, "load_run_data", load_and_damage)
    result = cli("evaluate", run.path, "--json")
    assert result.code == 1
    assert result.err.startswith("keras-convnext evaluate: ") and result.err.count("\n") == 1
    assert "not a readable image" in result.err
