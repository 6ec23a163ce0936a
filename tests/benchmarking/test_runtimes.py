"""Exported models as steps of a benchmark: what is timed computes what the model computes."""

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtClassifier
from keras_convnext.benchmarking.case import Case
from keras_convnext.benchmarking.runtimes import RUNTIMES, our_runtime_step, runtime_of, torch_runtime_step
from keras_convnext.benchmarking.turns import time_in_turn
from keras_convnext.export import FORMATS


def case_in(runtime, package="keras_convnext", backend="torch"):
    return Case(package, backend, runtime, "forward", "convnext_mini", 2, 32, "float32", "cpu")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_step_computes_what_our_model_computes(runtime, backend):
    if backend not in FORMATS[RUNTIMES[runtime].format].writers:
        pytest.skip(f"{backend} does not write it: another backend does, which has its own run of this test")
    model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=3, input_shape=(32, 32, 3))
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    (logits,) = our_runtime_step(case_in(runtime, backend=backend), model, images)().values()
    np.testing.assert_allclose(logits, model.predict(images, verbose=0), atol=1e-4)


@pytest.mark.once
@pytest.mark.parametrize("runtime", [name for name, row in RUNTIMES.items() if row.write_torch])
def test_a_step_computes_what_a_module_of_torch_computes_in_evaluation(runtime):
    import torch

    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 2, 2), torch.nn.Dropout(0.5), torch.nn.GELU())
    images = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype("float32")
    (maps,) = torch_runtime_step(case_in(runtime, package="timm"), module, images)().values()
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(maps, expected, atol=1e-5)


@pytest.mark.once
def test_torch_does_not_write_litert():
    with pytest.raises(ValueError, match="timm has no export to litert without a further package"):
        torch_runtime_step(case_in("litert", package="timm"), None, np.zeros((2, 3, 8, 8), "float32"))


@pytest.mark.once
@pytest.mark.parametrize(("form", "runtime"), [("", ""), ("compiled", ""), ("openvino", "openvino")])
def test_the_runtime_of_a_case(form, runtime):
    assert runtime_of(case_in(form)) == runtime


@pytest.mark.once
def test_an_exported_model_takes_its_turns():
    case = case_in("openvino", backend=keras.backend.backend())
    (timing,), failures = time_in_turn([case], rounds=2, progress=lambda text: None)
    assert failures == {}
    assert len(timing.seconds) == 2 and min(timing.seconds) > 0


@pytest.mark.once
def test_an_export_that_fails_is_told_in_a_line():
    impossible = Case("timm", "torch", "openvino", "forward", "convnext_mini", 2, 32, "float32", "cpu")
    _, failures = time_in_turn([impossible], rounds=1, progress=lambda text: None)
    (message,) = failures.values()
    assert "convnext_mini" in message and "\n" not in message
