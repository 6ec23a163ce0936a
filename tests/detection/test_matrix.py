"""Every detector and segmenter of keras-cv and keras-hub on our backbone: fit, predict, save, load in a new process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

HERE = Path(__file__).parent
CELLS = ["keras_cv_retinanet", "keras_cv_deeplab_v3_plus", "keras_hub_retinanet"]
MORE_CELLS = ["keras_cv_yolov8", "keras_cv_segformer", "keras_hub_deeplab_v3"]
LONG_CELLS = ["keras_hub_segformer", "keras_hub_d_fine"]


def run(mode, folder, cells):
    """Runs the program for all cells in one new process."""
    environment = {**os.environ, "KERAS_BACKEND": keras.backend.backend(), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, HERE / "matrix.py", mode, folder, *cells],
        cwd=HERE.parents[1],
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return json.loads((folder / f"{mode}.json").read_text())


def check(folder, cells):
    report = run("train", folder, cells)
    run("load", folder, cells)
    for cell in cells:
        assert np.isfinite(report[cell]["losses"]).all(), cell
        assert report[cell]["losses"][0] != report[cell]["losses"][1], cell
        assert report[cell]["changed"] > 0.85, f"{cell}: kernels that training did not change"
        trained, loaded = (dict(np.load(folder / f"{cell}_{mode}.npz")) for mode in ("train", "load"))
        assert trained.keys() == loaded.keys()
        for name, values in trained.items():
            assert np.isfinite(values).all(), (cell, name)
            np.testing.assert_allclose(loaded[name], values, rtol=1e-5, atol=1e-4, err_msg=f"{cell} {name}")
        assert any(values.std() > 0.01 for values in trained.values()), f"{cell}: outputs that would show a difference"


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param(CELLS, marks=pytest.mark.once),
        pytest.param(MORE_CELLS, marks=pytest.mark.slow),
        pytest.param(LONG_CELLS, marks=pytest.mark.slow),
    ],
    ids=["short", "more", "long"],
)
def test_the_matrix(cells, tmp_path):
    check(tmp_path, cells)
