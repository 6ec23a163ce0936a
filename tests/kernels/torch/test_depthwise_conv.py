"""Which convolution serves where. On a CPU, where a second one that notes its calls stands in for the one in Triton."""

import sys

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from keras_convnext.kernels.torch import fastest
from keras_convnext.kernels.torch.depthwise_conv import depthwise_conv

module = sys.modules[depthwise_conv.__module__]  # whose name in its package is the function's

PARTS = {
    "_forward": module._convolve,
    "_input_gradient": module._input_gradient_of_torch,
    "_weight_gradients": module._weight_gradients_of_torch,
}


@pytest.fixture
def calls(monkeypatch):
    """The names of the parts whose second function was called, as on a GPU where each second one is the faster."""
    calls = []

    def noted(name, function):
        return lambda *arguments: calls.append(name) or function(*arguments)

    monkeypatch.setattr(fastest, "may_choose", lambda x: True)
    for name, function in PARTS.items():
        second = noted(name, function)
        choice = fastest.Fastest(function, second, time=lambda one, _, second=second: one is not second)
        monkeypatch.setattr(module, name, choice)
    return calls


@pytest.fixture
def arguments():
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in ((2, 5, 4, 3), (3, 3, 3, 1), (3,))
    ]


def convolve(x, kernel, bias=None):
    return depthwise_conv(x, kernel, bias, dilation=1)


def expected(x, kernel, bias=None):
    return module._convolve(x, kernel, bias, 1)


def gradients(function, arguments):
    return torch.autograd.grad(function(*arguments).square().sum(), [one for one in arguments if one.requires_grad])


def assert_equal(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.detach().float(), other.detach().float(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("count", [2, 3], ids=["without bias", "with bias"])
def test_the_faster_serves_with_its_gradients(calls, arguments, count):
    assert_equal(gradients(convolve, arguments[:count]), gradients(expected, arguments[:count]))
    assert set(calls) == set(PARTS)


@pytest.mark.parametrize(("frozen", "part"), [((1, 2), "_input_gradient"), ((0,), "_weight_gradients")])
def test_no_gradient_is_computed_that_is_not_needed(calls, arguments, frozen, part):
    for index in frozen:
        arguments[index].requires_grad_(False)
    assert_equal(gradients(convolve, arguments), gradients(expected, arguments))
    assert set(calls) == {"_forward", part}


def test_second_derivatives(calls, arguments):
    """Of gradients that are differentiated again, torch's own."""

    def second(function):
        first = torch.autograd.grad(function(*arguments).square().sum(), arguments, create_graph=True)
        assert "_input_gradient" not in calls
        return torch.autograd.grad(sum(one.square().sum() for one in first), arguments)

    reference = second(expected)
    assert_equal(second(convolve), reference)


def test_transforms_take_torchs_own(calls, arguments):
    tensors = [one.detach() for one in arguments]

    def results(function):
        _, derivative = torch.func.jvp(function, tuple(tensors), tuple(tensors))
        images = torch.func.vmap(lambda x: function(x[None], *tensors[1:])[0])(tensors[0])
        return derivative, images, torch.func.grad(lambda *each: function(*each).square().sum())(*tensors)

    assert_equal(results(convolve), results(expected))
    assert not calls


def test_counters_see_torchs_own(calls, arguments):
    with FlopCounterMode(display=False) as counter:
        convolve(*arguments)
    assert counter.get_total_flops() > 0
    assert not calls


def test_autocast(calls, arguments):
    arguments = [one.detach().float().requires_grad_() for one in arguments]
    with torch.autocast("cpu", torch.bfloat16):
        y, reference = convolve(*arguments), expected(*arguments)
    assert y.dtype == torch.bfloat16
    results = [[output, *torch.autograd.grad(output.float().square().sum(), arguments)] for output in (y, reference)]
    assert_equal(*results)
    assert set(calls) == set(PARTS)


def test_compiled_operations_take_the_faster(calls, arguments):
    found = torch.autograd.grad(module._compiled(*arguments, 1).square().sum(), arguments)
    assert_equal(found, gradients(expected, arguments))
    assert set(calls) == set(PARTS)


def test_an_exported_graph_has_torchs_own(calls, arguments):
    class Model(torch.nn.Module):
        def forward(self, x, kernel):
            return convolve(x, kernel)

    graph = torch.export.export(Model(), tuple(one.detach() for one in arguments[:2]))
    assert "keras_convnext" not in str(graph)
    assert not calls


def test_without_triton_torchs_own_serves(monkeypatch, arguments):
    monkeypatch.setattr(fastest, "may_choose", lambda x: True)
    monkeypatch.setitem(sys.modules, "keras_convnext.kernels.torch.depthwise_triton", None)
    for name, function in PARTS.items():
        functions = getattr(module, name)._functions
        assert functions[0] is function
        monkeypatch.setattr(module, name, fastest.Fastest(*functions))
    assert_equal(gradients(convolve, arguments), gradients(expected, arguments))
