"""The learning rate, against the authors' list of one rate a step."""

import keras
import numpy as np
import pytest

from keras_convnext.training import WarmupCosine

FLOAT32 = {"rtol": 2e-6, "atol": 1e-6}


def authors_rates(peak, total, warmup, minimum):
    """`cosine_scheduler` of facebookresearch/ConvNeXt, utils.py: `np.linspace`, then a half cosine."""
    steps = np.arange(total - warmup)
    cosine = minimum + 0.5 * (peak - minimum) * (1 + np.cos(np.pi * steps / (total - warmup))) if total > warmup else []
    return np.concatenate([np.linspace(0, peak, warmup), cosine])


def rates(schedule, steps):
    return keras.ops.convert_to_numpy(schedule(np.asarray(steps)))


@pytest.mark.parametrize("total", [20, 21, 100, 1000])
@pytest.mark.parametrize("warmup", [0, 1, 2, 20])
@pytest.mark.parametrize("minimum", [0.0, 0.01, 0.5])
def test_equals_the_authors_list_at_every_step(total, warmup, minimum):
    result = rates(WarmupCosine(1.0, total, warmup, minimum), np.arange(total))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, authors_rates(1.0, total, warmup, minimum), **FLOAT32)


@pytest.mark.parametrize("peak, minimum", [(4e-3, 1e-6), (2.5e-4, 1e-6), (8e-4, 0.0), (1e-3, 1e-3)])
def test_equals_the_authors_list_for_the_rates_of_the_papers(peak, minimum):
    result = rates(WarmupCosine(peak, 300, 20, minimum), np.arange(300))
    np.testing.assert_allclose(result / peak, authors_rates(peak, 300, 20, minimum) / peak, **FLOAT32)


def test_the_minimum_is_by_default_that_of_the_papers():
    assert WarmupCosine(1e-3, 10).minimum == 1e-6


def test_starts_at_zero_reaches_the_peak_and_falls_from_there():
    result = rates(WarmupCosine(1.0, 100, 20), np.arange(100))
    assert result[0] == 0
    assert result[19] == result[20] == result.max() == 1
    assert (np.diff(result[:20]) > 0).all()
    assert (np.diff(result[20:]) < 0).all()


@pytest.mark.parametrize("warmup", [0, 1, 5, 10])
@pytest.mark.parametrize("step", [10, 11, 1000, 10**9])
def test_after_the_end_is_the_minimum(warmup, step):
    np.testing.assert_allclose(rates(WarmupCosine(1.0, 10, warmup, 0.25), step), 0.25, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32"])
def test_takes_steps_of_any_type(dtype):
    """An integer step must not truncate the rate to 0, as `keras.optimizers.schedules.CosineDecay` does."""
    schedule = WarmupCosine(peak=1, total_steps=8, warmup_steps=3, minimum=0)
    result = keras.ops.convert_to_numpy(schedule(keras.ops.cast(1, dtype)))
    np.testing.assert_allclose(result, 0.5)


def test_survives_serialization():
    schedule = WarmupCosine(4e-3, 50, 7, 1e-5)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert isinstance(copy, WarmupCosine)
    assert copy.get_config() == schedule.get_config()
    np.testing.assert_array_equal(rates(copy, np.arange(50)), rates(schedule, np.arange(50)))


@pytest.mark.parametrize("total, warmup", [(10, 11), (10, -1), (-1, 0)])
def test_refuses_a_warmup_outside_the_training(total, warmup):
    with pytest.raises(ValueError, match=f"warmup_steps={warmup}, total_steps={total}"):
        WarmupCosine(1.0, total, warmup)
