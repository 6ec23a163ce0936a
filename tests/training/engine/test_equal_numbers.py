"""A training of several processes or devices ends with the weights and the scores of one."""

import keras
import numpy as np
import pytest

from keras_convnext.models import load_model
from keras_convnext.training import Run
from keras_convnext.training.engine import start_engine

SHAPES = {"tensorflow": (1, 2), "jax": (1, 4), "torch": (2, 1)}
OTHERS = {"tensorflow": (1, 4), "jax": (2, 2), "torch": (4, 1)}
"""Numbers of processes, and of devices of each. Two processes of JAX are in every run of `test_faults.py`."""


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


def assert_equal_weights(run, other):
    for name in ("model.keras", "ema.keras"):
        found, expected = (weights(one, name) for one in (run, other))
        assert found.keys() == expected.keys()
        for path, value in expected.items():
            np.testing.assert_allclose(found[path], value, rtol=0, atol=1e-5, err_msg=path)


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
    assert_equal_weights(together, alone)
    assert scores(together) == pytest.approx(scores(alone), abs=1e-5)
    assert metrics(together) == pytest.approx(metrics(alone), abs=1e-5)
    assert f"{processes} process{'es' if processes > 1 else ''}, {processes * devices} devices: tiny" in printed[0]
    for other in printed[1:]:
        assert "run folder" not in other and "Epoch" not in other


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX alone splits weights")
@pytest.mark.slow
@pytest.mark.parametrize(("processes", "devices"), [(1, 4), (2, 2)])
def test_split_weights_end_alike_and_resume(train, launch, outputs_of, settings, processes, devices):
    alone, _ = train(1, 1, settings("wide"))
    together, printed = train(processes, devices, settings("wide"), "--distribute", "fsdp")
    line = "each device holds 0.9 MiB of weights, gradients and optimizer state, 2.8 MiB if none were split"
    assert line in printed[0]
    assert_equal_weights(together, alone)
    assert scores(together) == pytest.approx(scores(alone), abs=1e-5)
    outputs_of(launch(processes, devices, "--resume", together.path, "--epochs", 2))
    first, second = together.read_csv("history.csv")
    assert float(second["loss"]) < float(first["loss"])


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX splits weights")
def test_others_refuse_to_split_weights():
    with pytest.raises(ValueError, match="`distribute` can be 'fsdp' on the JAX backend only"):
        start_engine("fsdp")


@pytest.mark.slow
def test_each_device_drops_other_samples_and_the_run_resumes(train, launch, outputs_of, settings, backend):
    """JAX draws for the whole batch; elsewhere each device has its own seeds, of which the first are saved."""
    run, _ = train(*SHAPES[backend], settings(drop_path_rate=0.5), "--distribute", "data")
    before = np.load(run.last_state / "seeds.npz")
    outputs_of(launch(*SHAPES[backend], "--resume", run.path, "--epochs", 2))
    after = np.load(run.last_state / "seeds.npz")
    assert before.files
    for name in before.files:
        assert after[name][0] == before[name][0] and after[name][1] > before[name][1] > 0
