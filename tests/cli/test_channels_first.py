"""Channels first, in keras.json and in data: what commands read is channels last."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_convnext.training import Run

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAM = """
import json, sys
import keras
from keras_convnext.cli import main

assert keras.config.image_data_format() == "channels_first"
for command in json.loads(sys.argv[1]):
    assert main(command) == 0, command
"""


@pytest.mark.slow
@pytest.mark.usefixtures("channels_first_home")
def test_commands_run(few_images, tmp_path):
    run = str(tmp_path / "run")
    commands = [
        ["summary", "convnext_mini", "--size", "32"],
        ["train", "--data", str(few_images), "--epochs", "1", "--batch", "16", "--output", run],
        ["train", "--data", str(few_images), "--epochs", "1", "--checkpoint", run, "--output", f"{run}-again"],
        ["evaluate", run],
        ["predict", run, str(EXAMPLES / "three.png")],
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    assert Run.open(run).load_model().backbone.data_format == "channels_last"
    assert Run.open(f"{run}-again").load_model().input_shape == (None, 32, 32, 3)


@pytest.mark.parametrize("recipe", ["small_images", "from_scratch"])
def test_arrays_are_refused_by_every_recipe(refusal, few_images, tmp_path, recipe):
    with np.load(few_images) as arrays:
        first = {name: np.moveaxis(array, -1, 1) if array.ndim == 4 else array for name, array in arrays.items()}
    np.savez(tmp_path / "first.npz", **first)
    line = refusal("train", "--data", tmp_path / "first.npz", "--recipe", recipe, "--output", tmp_path / "run")
    assert "Received: (80, 3, 32, 32), which looks like (count, channels, height, width)." in line
    assert "numpy.moveaxis(array, -3, -1)" in line
    assert not (tmp_path / "run").exists()
