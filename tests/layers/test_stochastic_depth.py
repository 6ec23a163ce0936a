"""StochasticDepth: which samples are dropped, how often, and by which seed."""

import math

import keras
import numpy as np
import pytest

from keras_convnext.layers import LayerScale, StochasticDepth


def dropped(layer, batch=512):
    """Which samples of a batch of ones the layer drops."""
    return keras.ops.convert_to_numpy(layer(np.ones((batch, 1), "float32"), training=True))[:, 0] == 0


def test_is_the_identity_at_inference(numpy_of, rng):
    x = rng.normal(size=(16, 2, 2, 3)).astype("float32")
    layer = StochasticDepth(0.5)
    np.testing.assert_array_equal(numpy_of(layer, x), x)
    np.testing.assert_array_equal(numpy_of(layer, x, training=False), x)


def test_is_the_identity_at_rate_zero(numpy_of, rng):
    x = rng.normal(size=(16, 2, 2, 3)).astype("float32")
    np.testing.assert_array_equal(numpy_of(StochasticDepth(0.0), x, training=True), x)


@pytest.mark.parametrize("shape", [(64, 3, 4, 5), (64, 7)])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_drops_whole_samples_and_scales_the_others(numpy_of, rng, rate, shape):
    x = rng.uniform(1, 2, size=shape).astype("float32")
    y = numpy_of(StochasticDepth(rate, seed=1), x, training=True)
    is_dropped = (y == 0).reshape(64, -1)
    assert 0 < is_dropped[:, 0].sum() < 64
    np.testing.assert_array_equal(is_dropped, is_dropped[:, :1].repeat(is_dropped.shape[1], axis=1))
    kept = ~is_dropped[:, 0]
    np.testing.assert_allclose(y[kept], x[kept] / (1 - rate), rtol=1e-6)


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.8])
def test_drops_at_its_rate(rate):
    batch = 100_000
    bound = 4.5 * math.sqrt(rate * (1 - rate) / batch)
    assert abs(dropped(StochasticDepth(rate, seed=2), batch).mean() - rate) < bound


def test_two_calls_differ():
    layer = StochasticDepth(0.5, seed=3)
    assert (dropped(layer) != dropped(layer)).any()


def test_two_layers_differ():
    assert (dropped(StochasticDepth(0.5)) != dropped(StochasticDepth(0.5))).any()


def test_the_same_seed_gives_the_same_masks():
    first, second = StochasticDepth(0.5, seed=4), StochasticDepth(0.5, seed=4)
    for _ in range(3):
        np.testing.assert_array_equal(dropped(first), dropped(second))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_keeps_the_type(dtype):
    x = keras.ops.ones((64, 2), dtype)
    y = StochasticDepth(0.5, seed=5, dtype=dtype)(x, training=True)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    assert set(keras.ops.convert_to_numpy(keras.ops.cast(y, "float32")).ravel()) == {0.0, 2.0}


def test_draws_anew_in_each_compiled_step(backend):
    """The loss is the share of kept samples times two; nothing else changes from step to step."""
    model = keras.Sequential([keras.Input((4,)), StochasticDepth(0.5, seed=6), LayerScale(1.0)])
    model.compile(keras.optimizers.SGD(0.0), lambda _, y: keras.ops.mean(y, axis=-1), jit_compile=backend != "torch")
    x = np.ones((64, 4), "float32")
    losses = []
    record = keras.callbacks.LambdaCallback(on_train_batch_end=lambda _, logs: losses.append(logs["loss"]))
    for _ in range(8):
        model.fit(x, x, batch_size=64, verbose=0, callbacks=[record])
    kept = 64 * np.array(losses) / 2
    np.testing.assert_allclose(kept, np.round(kept), atol=1e-4)
    assert len(set(np.round(kept))) > 2
    assert 24 < kept.mean() < 40


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_refuses_a_rate_that_is_no_probability(rate):
    with pytest.raises(ValueError, match=f"at least 0 and below 1.*rate={rate}"):
        StochasticDepth(rate)
