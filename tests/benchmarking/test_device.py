"""What a benchmark on a GPU does, as far as it shows without one: its environment, what is refused, what is counted."""

import os
from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtClassifier
from keras_convnext.benchmarking import packages
from keras_convnext.benchmarking.case import Case
from keras_convnext.benchmarking.device import (
    call_without_gpu,
    environment,
    peak_device_bytes,
    prepare_device,
    synchronize,
)
from keras_convnext.benchmarking.turns import time_in_turn

pytestmark = pytest.mark.once


@pytest.fixture
def case(backend):
    return Case("keras_convnext", backend, "", "forward", "convnext_mini", 2, 8, "float32", "gpu")


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")


@pytest.mark.slow
@pytest.mark.usefixtures("no_gpu")
def test_a_case_for_the_gpu_is_not_timed_on_the_cpu(case):
    timings, failures = time_in_turn([case, replace(case, device="cpu")], rounds=1, progress=lambda text: None)
    assert [timing.case.device for timing in timings] == ["cpu"]
    assert f"{case.backend} sees no GPU" in failures[case]


def test_processes_on_a_gpu_share_its_memory(case, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    variables = environment("gpu", "jax")
    assert variables["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert variables["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert (variables["CUDA_VISIBLE_DEVICES"], variables["KERAS_BACKEND"]) == ("3", "jax")
    variables = environment("cpu", "numpy")
    assert (variables["CUDA_VISIBLE_DEVICES"], variables["JAX_PLATFORMS"]) == ("", "cpu")
    assert variables.get("KERAS_BACKEND") == os.environ.get("KERAS_BACKEND")


@pytest.mark.slow
def test_the_command_itself_builds_no_model_for_a_gpu(case, monkeypatch):
    expected = packages.macs(replace(case, device="cpu", size=36))
    transformer = replace(case, package="vit_small", variant="", size=32)
    of_transformer = packages.macs(replace(transformer, device="cpu"))

    def build(*arguments, **options):
        raise AssertionError("a model was built")

    monkeypatch.setattr(ConvNeXtClassifier, "from_preset", build)
    monkeypatch.setattr(packages, "attention_model", build)
    assert packages.macs(replace(case, size=36)) == expected
    assert packages.macs(transformer) == of_transformer


@pytest.mark.slow
def test_a_call_without_gpu_gives_the_result_or_the_refusal(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")  # which Keras imports in half the time
    assert call_without_gpu("os:getenv", "CUDA_VISIBLE_DEVICES") == ""
    assert call_without_gpu("os:getenv", "JAX_PLATFORMS") == "cpu"
    with pytest.raises(ValueError, match=r"Unknown variant 'convnext_tinny': the nearest names are convnext_tiny"):
        call_without_gpu("keras_convnext.variants:get_variant", "convnext_tinny")


def test_waits_for_the_result(backend):
    result = keras.ops.matmul(keras.ops.ones((512, 512)), keras.ops.ones((512, 512)))
    synchronize(backend, result)
    if backend == "jax":
        assert result.is_ready()
    synchronize(backend, {"loss": 0.5, "logits": np.zeros(3), "map": result, "empty": keras.ops.zeros((0, 3))})


def test_all_backends_multiply_float32_in_tf32_on_a_gpu(run_python):
    """Of this process the settings stay as they are."""
    reads = {
        "torch": "torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32",
        "jax": "jax.config.jax_default_matmul_precision == 'tensorfloat32'",
        "tensorflow": "tensorflow.config.experimental.tensor_float_32_execution_enabled()",
    }
    backend = keras.backend.backend()
    program = (
        f"import {backend}\nfrom keras_convnext.benchmarking import device\ndevice._sees_gpu = lambda backend: True\n"
        f"device.prepare_device('gpu', {backend!r})\nprint({reads[backend]})"
    )
    assert set(run_python(program, backend).split()) == {"True"}


def test_a_device_that_is_the_cpu_has_no_memory_of_its_own(backend):
    prepare_device("cpu", backend)
    assert peak_device_bytes("cpu", backend) is None
