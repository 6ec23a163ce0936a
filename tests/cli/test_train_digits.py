"""The main job: `keras-convnext train` with no arguments, from start to end."""

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_digits_are_learned(tmp_path):
    subprocess.run([sys.executable, "-m", "keras_convnext", "train"], cwd=tmp_path, check=True, timeout=1200)
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "metrics.json").read_text())["test_accuracy"] >= 0.97
