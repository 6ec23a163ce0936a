"""The learning rate: the cosine against the authors' list of one rate a step, the others against torch's schedulers."""

import keras
import numpy as np
import pytest

from keras_convnext.training import WarmupCosine, WarmupPolynomial, WarmupStep

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


@pytest.fixture
def of_torch():
    """A function: torch's list of rates from a peak of 1, by schedulers whose factors are multiplied."""
    import torch

    def rates_of(steps, *makers):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler = torch.optim.lr_scheduler.ChainedScheduler([make(optimizer) for make in makers])
        found = []
        for _ in range(steps):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return found

    return rates_of


def linear(start, steps):
    from torch.optim.lr_scheduler import LinearLR

    return lambda optimizer: LinearLR(optimizer, start_factor=start, total_iters=steps)


@pytest.mark.parametrize("warmup", [0, 1, 15, 90])
def test_steps_equal_torchs(of_torch, warmup):
    from torch.optim.lr_scheduler import MultiStepLR

    makers = [lambda optimizer: MultiStepLR(optimizer, [75, 92], gamma=0.1)]
    makers += [linear(1e-3, warmup)] if warmup else []
    schedule = WarmupStep(1.0, 100, warmup, points=(27 / 36, 33 / 36))
    np.testing.assert_allclose(rates(schedule, np.arange(110)), of_torch(110, *makers), **FLOAT32)


@pytest.mark.parametrize("warmup", [0, 1, 15, 100])
@pytest.mark.parametrize("power", [1.0, 0.9])
def test_the_polynomial_equals_torchs(of_torch, warmup, power):
    from torch.optim.lr_scheduler import PolynomialLR

    makers = [lambda optimizer: PolynomialLR(optimizer, 100, power)] + ([linear(1e-6, warmup)] if warmup else [])
    schedule = WarmupPolynomial(1.0, 100, warmup, power=power)
    np.testing.assert_allclose(rates(schedule, np.arange(100)), of_torch(100, *makers), rtol=2e-5, atol=1e-6)
    assert rates(schedule, 100) == rates(schedule, 10**6) == 0


def test_the_polynomial_ends_at_its_minimum():
    schedule = WarmupPolynomial(1.0, 100, minimum=0.25)
    np.testing.assert_allclose(rates(schedule, np.array([0, 50, 100, 101])), [1, 0.625, 0.25, 0.25])


@pytest.mark.parametrize(
    "schedule",
    [WarmupStep(4e-3, 50, 7, (0.5, 0.8), 0.2, 0.01), WarmupPolynomial(4e-3, 50, 7, 1e-5, 0.9, 0.01)],
    ids=["step", "polynomial"],
)
@pytest.mark.parametrize("dtype", ["int32", "int64", "float32"])
def test_the_others_survive_serialization_and_take_steps_of_any_type(schedule, dtype):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert type(copy) is type(schedule)
    assert copy.get_config() == schedule.get_config()
    one = keras.ops.convert_to_numpy(copy(keras.ops.cast(3, dtype)))
    np.testing.assert_allclose(one, rates(schedule, np.arange(50))[3], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WarmupStep(1.0, 10, 11), "warmup_steps=11, total_steps=10"),
        (lambda: WarmupPolynomial(1.0, 10, 11), "warmup_steps=11, total_steps=10"),
        (lambda: WarmupStep(1.0, 10, points=(27,)), "`points` must be from 0 to 1"),
        (lambda: WarmupStep(1.0, 10, factor=10), "`factor` must be from 0 to 1"),
        (lambda: WarmupPolynomial(1.0, 10, power=-1), "`power` must be a finite number, at least 0"),
    ],
)
def test_the_others_refuse_what_is_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()
