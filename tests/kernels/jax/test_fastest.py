"""The choice between functions that compute the same. On a CPU, with a clock of the test's own."""

import jax
import jax.export
import keras
import numpy as np
import pytest
from jax import numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas.triton import CompilerParams

from keras_convnext import ConvNeXtClassifier, kernels
from keras_convnext.kernels.jax import fastest
from keras_convnext.kernels.jax.fastest import Fastest, may_choose


def plain(x, factor):
    return x * factor


def quick(x, factor):
    return factor * x


def wrong(x, factor):
    return x * factor + 0.2


def not_a_number(x, factor):
    return x * factor * float("nan")


def without_package(x, factor):
    raise ImportError("no such package")


def unsuited(x, factor):
    raise NotImplementedError


def failing(x, factor):
    raise jax.errors.JaxRuntimeError("Triton support is only enabled for newer GPUs")


def not_compiled_by_pallas(x, factor):
    def sort(x, y):
        y[...] = jnp.sort(x[...]) * factor  # Pallas has no sort for Triton

    program = jax.jit(pl.pallas_call(sort, jax.ShapeDtypeStruct(x.shape, x.dtype), compiler_params=CompilerParams()))
    return program.trace(jnp.ones(x.shape, x.dtype)).lower(lowering_platforms=("cuda",))


@pytest.fixture
def clock(monkeypatch):
    """A function to measure with, in which `quick` is the fastest that is right; `calls` has what it measured."""
    monkeypatch.setattr(fastest, "ROUNDS", 1)
    monkeypatch.setattr(fastest, "CALLS", 2)

    def measure(function, arguments):
        results = fastest.seconds_and_results(function, arguments)[1]
        measure.calls.append(function)
        return {plain: 2.0, quick: 1.0, wrong: 0.1, not_a_number: 0.1}[function], results

    measure.calls = []
    return measure


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    monkeypatch.setattr(fastest, "on_cuda", lambda: True)


@pytest.mark.usefixtures("as_on_a_gpu")
def test_the_fastest_serves(clock):
    function = Fastest(plain, quick, measure=clock)
    assert function.choose(jnp.ones(2), 3) is quick
    assert function(jnp.ones(2), 3).tolist() == [3, 3]


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("transform", [jax.jit, jax.vmap, jax.jacobian, jax.checkpoint])
def test_chooses_while_jax_traces(clock, transform):
    function = Fastest(plain, quick, measure=clock)
    transform(lambda x: function(x, 3))(jnp.ones(2))
    assert len(clock.calls) == 2
    (chosen,) = function._found.values()
    assert chosen is quick


@pytest.mark.usefixtures("as_on_a_gpu")
def test_measures_each_kind_of_arguments_once(clock):
    function = Fastest(plain, quick, measure=clock)
    for _ in range(3):
        function(jnp.ones(2), 3)
    assert len(clock.calls) == 2
    for count, arguments in enumerate([(jnp.ones(3), 3), (jnp.ones(2, "bfloat16"), 3), (jnp.ones(2), 4)], 2):
        function(*arguments)
        assert len(clock.calls) == 2 * count


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("unusable", [without_package, unsuited, failing, not_compiled_by_pallas, wrong, not_a_number])
def test_what_does_not_run_or_is_wrong_is_left_out(clock, unusable):
    assert Fastest(plain, unusable, quick, measure=clock).choose(jnp.ones(2), 3) is quick
    assert Fastest(plain, unusable, measure=clock).choose(jnp.ones(2), 3) is plain


@pytest.mark.usefixtures("as_on_a_gpu")
def test_nothing_is_measured_where_the_first_alone_runs(clock):
    assert Fastest(plain, unsuited, measure=clock).choose(jnp.ones(2), 3) is plain
    assert not clock.calls


@pytest.mark.usefixtures("as_on_a_gpu")
def test_the_first_serves_where_it_cannot_be_measured(clock):
    assert Fastest(failing, quick, measure=clock).choose(jnp.ones(2), 3) is failing


def test_the_first_serves_on_other_devices(clock):
    assert Fastest(plain, quick, measure=clock).choose(jnp.ones(2), 3) is plain
    assert not clock.calls


@pytest.mark.usefixtures("as_on_a_gpu")
def test_only_one_gpu_that_need_not_be_deterministic_may_choose(monkeypatch):
    assert may_choose(jnp.ones(2))
    assert not may_choose(jax.ShapeDtypeStruct(jax.export.symbolic_shape("batch, 3"), "float32"))
    with kernels.serializing():
        assert not may_choose(jnp.ones(2))
    for name, value in {
        "xla_gpu_deterministic_ops": "=true",
        "xla_gpu_exclude_nondeterministic_ops": "",
    }.items():
        monkeypatch.setenv("XLA_FLAGS", f"--xla_gpu_autotune_level=4 --{name}{value}")
        assert not may_choose(jnp.ones(2))
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_deterministic_ops=false")
    assert may_choose(jnp.ones(2))
    with monkeypatch.context() as patch:
        patch.setattr(jax, "device_count", lambda: 2)
        assert not may_choose(jnp.ones(2))
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    try:
        assert not may_choose(jnp.ones(2))
    finally:
        keras.distribution.set_distribution(None)


@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_saved_model_has_what_can_be_serialized(monkeypatch):
    model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=3, input_shape=(32, 32, 3))
    found = []
    monkeypatch.setattr(keras.Model, "export", lambda *_, **__: found.append(may_choose(jnp.ones(2))))
    model.export("folder")
    assert found == [False]


def test_every_call_that_is_measured_runs():
    """XLA would compile a loop of calls that do not depend on each other as one call."""
    calls = []

    def doubled(x, factor):
        calls.append(x)
        return factor * np.asarray(x)

    def function(x, factor):
        return jax.pure_callback(lambda x: doubled(x, factor), jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    seconds, (result,) = fastest.seconds_and_results(function, [jnp.ones(4), 2])
    assert seconds > 0
    assert result.tolist() == [2, 2, 2, 2]
    assert len(calls) == fastest.CALLS * (fastest.ROUNDS + 1)
