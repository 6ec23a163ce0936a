"""The choice between functions that compute the same. On a CPU, with a clock of the test's own."""

import pytest
import torch

from keras_convnext.kernels.torch import fastest
from keras_convnext.kernels.torch.fastest import Fastest


def plain(x, factor):
    return x * factor


def quick(x, factor):
    return factor * x


def wrong(x, factor):
    return x * factor + 0.1


def not_a_number(x, factor):
    return x * factor * float("nan")


def without_package(x, factor):
    raise ImportError("no such package")


def unsuited(x, factor):
    raise NotImplementedError


@pytest.fixture
def clock():
    """A function to time with, in which `quick` is the fastest; `calls` has what it timed."""

    def time(function, arguments):
        time.calls.append(function)
        return {plain: 2.0, quick: 1.0, unsuited: 0.1, without_package: 0.1, wrong: 0.1, not_a_number: 0.1}[function]

    time.calls = []
    return time


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    monkeypatch.setattr(fastest, "may_choose", lambda x: True)


@pytest.mark.usefixtures("as_on_a_gpu")
def test_the_fastest_serves(clock):
    function = Fastest(plain, quick, time=clock)
    assert function.choose(torch.ones(2), 3) is quick
    assert function(torch.ones(2), 3).tolist() == [3, 3]


@pytest.mark.usefixtures("as_on_a_gpu")
def test_times_each_kind_of_arguments_once(clock):
    function = Fastest(plain, quick, time=clock)
    for _ in range(3):
        function(torch.ones(2), 3)
    assert len(clock.calls) == 2
    for count, arguments in enumerate(
        [(torch.ones(3), 3), (torch.ones(2, dtype=torch.bfloat16), 3), (torch.ones(2), 4), (torch.ones(4)[::2], 3)], 2
    ):
        function(*arguments)
        assert len(clock.calls) == 2 * count


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("unusable", [without_package, unsuited, wrong, not_a_number])
def test_what_does_not_run_or_is_wrong_is_left_out(clock, unusable):
    assert Fastest(plain, unusable, quick, time=clock).choose(torch.ones(2), 3) is quick
    clock.calls.clear()
    assert Fastest(plain, unusable, time=clock).choose(torch.ones(2), 3) is plain
    assert not clock.calls  # alone, it is not timed


@pytest.mark.usefixtures("as_on_a_gpu")
def test_nothing_is_timed_while_a_graph_is_captured(clock, monkeypatch):
    function = Fastest(plain, quick, time=clock)
    with monkeypatch.context() as patch:
        patch.setattr(fastest, "is_capturing", lambda: True)
        assert function.choose(torch.ones(2), 3) is plain
    assert function.choose(torch.ones(2), 3) is quick


def test_the_first_serves_on_other_devices(clock):
    assert Fastest(plain, quick, time=clock).choose(torch.ones(2), 3) is plain
    assert not clock.calls


class OnGPU:
    device = torch.device("cuda")


def test_only_a_gpu_that_need_not_be_deterministic_may_choose(monkeypatch):
    assert fastest.may_choose(OnGPU)
    assert not fastest.may_choose(torch.ones(2))
    with monkeypatch.context() as patch:
        patch.setattr(torch.backends.cudnn, "deterministic", True)
        assert not fastest.may_choose(OnGPU)
    torch.use_deterministic_algorithms(True)
    try:
        assert not fastest.may_choose(OnGPU)
    finally:
        torch.use_deterministic_algorithms(False)
