"""A training of several processes or devices ends with the weights and the scores of one."""

import keras
import numpy as np
import pytest

from keras_convnext.models import load_model
from keras_convnext.training import Run

SHAPES = {"tensorflow": (1, 2), "jax": (2, 2), "torch": (2, 1)}
OTHERS = {"tensorflow": (1, 4), "jax": (1, 4), "torch": (4, 1)}
"""Numbers of processes, and of devices of each."""


@pytest.fixture
def train(launch, outputs_of, tmp_path):
    """A function: trains, and returns the `Run` and what each process printed."""

    def call(processes, devices, settings, *options):
        run = tmp_path / f"run-{processes}-{devices}-{settings.stem}"
        printed = outputs_of(launch(processes, devices, "--settings", settings, "--output", run, *options))
        return Run(run), printed

    return call


def weights(run, name):
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in load_model(run.last_state / name).weights}


def metrics(run):
    return {name: value for name, value in run.metrics.items() if name != "seconds"}


def scores(run):
    (row,) = run.read_csv("history.csv")
    return {name: float(value) for name, value in row.items() if name not in ("seconds", "epoch")}


@pytest.mark.parametrize(
    ("shapes", "accumulate"),
    [(SHAPES, 1), pytest.param(OTHERS, 1, marks=pytest.mark.slow), pytest.param(SHAPES, 2, marks=pytest.mark.slow)],
)
def test_ten_steps_end_alike(train, settings, shapes, accumulate, backend):
    processes, devices = shapes[backend]
    if accumulate > 1 and backend == "tensorflow":
        with pytest.raises(AssertionError, match="`accumulate` must be 1 where TensorFlow trains on several devices"):
            train(processes, devices, settings(accumulate=accumulate), "--distribute", "data")
        return
    alone, _ = train(1, 1, settings(accumulate=accumulate))
    together, printed = train(processes, devices, settings(accumulate=accumulate), "--distribute", "data")
    for name in ("model.keras", "ema.keras"):
        expected, found = (weights(run, name) for run in (alone, together))
        assert expected.keys() == found.keys()
        for path, value in expected.items():
            np.testing.assert_allclose(found[path], value, rtol=0, atol=1e-5, err_msg=path)
    assert scores(together) == pytest.approx(scores(alone), abs=1e-5)
    assert metrics(together) == pytest.approx(metrics(alone), abs=1e-5)
    assert f"{processes} process{'es' if processes > 1 else ''}, {processes * devices} devices: tiny" in printed[0]
    for other in printed[1:]:
        assert "run folder" not in other and "Epoch" not in other


def test_each_device_drops_other_samples_and_the_run_resumes(train, launch, outputs_of, settings, backend):
    """JAX draws for the whole batch; elsewhere each device has its own seeds, of which the first are saved."""
    run, _ = train(*SHAPES[backend], settings(drop_path_rate=0.5), "--distribute", "data")
    before = np.load(run.last_state / "seeds.npz")
    outputs_of(launch(*SHAPES[backend], "--resume", run.path, "--epochs", 2))
    after = np.load(run.last_state / "seeds.npz")
    assert before.files
    for name in before.files:
        assert after[name][0] == before[name][0] and after[name][1] > before[name][1] > 0
