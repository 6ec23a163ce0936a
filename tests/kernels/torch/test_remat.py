"""Recomputation on torch."""

import gc

import numpy as np
import pytest
import torch

from keras_convnext.kernels.shared import microbatches
from keras_convnext.kernels.torch.remat import remat
from keras_convnext.layers import ConvNeXtBlock


@pytest.fixture
def arguments():
    """x of six images, and two weights of which the second is frozen."""
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(shape, generator=generator, requires_grad=trainable)
        for shape, trainable in (((6, 4, 8), True), ((8, 6), True), ((6,), False))
    ]


def function(x, weight, frozen):
    return torch.tanh(x @ weight) * frozen


def gradients(function, arguments):
    trainable = [argument for argument in arguments if argument.requires_grad]
    return torch.autograd.grad(function(*arguments).square().sum(), trainable)


@pytest.mark.parametrize(("images", "parts"), [(1, [1, 1, 1, 1, 1, 1]), (2, [2, 2, 2]), (6, [6])])
def test_equal_by_parts_of_the_batch(arguments, monkeypatch, images, parts):
    monkeypatch.setattr(microbatches, "PART_BYTES", images * 4 * 8 * 4)
    calls = []

    def counted(x, *weights):
        calls.append(len(x))
        return function(x, *weights)

    expected, found = gradients(function, arguments), gradients(remat(counted), arguments)
    assert calls == 2 * parts  # forward and again
    for ours, plain in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-6)


def test_with_the_input_frozen(arguments):
    arguments[0].requires_grad_(False)
    (expected,), (found,) = gradients(function, arguments), gradients(remat(function), arguments)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_second_derivatives_are_equal(arguments):
    def second(function):
        y = function(*arguments).square().sum()
        (gradient,) = torch.autograd.grad(y, arguments[0], create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), arguments[:2])

    for found, expected in zip(second(remat(function)), second(function), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_what_is_recomputed_is_freed_at_once():
    """Not when Python looks for cycles the next time."""
    block = ConvNeXtBlock(remat=True)
    block.build((None, None, None, 8))
    x = torch.ones((2, 4, 4, 8), requires_grad=True)

    def tensors():
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    def step():
        torch.autograd.grad(block(x, training=True).sum(), x)

    step()
    gc.collect()
    gc.disable()
    try:
        before = tensors()
        step()
        assert tensors() == before
    finally:
        gc.enable()


@pytest.mark.parametrize("records", [False, True])
def test_recomputes_in_the_type_of_autocast(arguments, records):
    types = []

    def noted(x, weight, frozen):
        y = x @ weight
        types.append(y.dtype)
        return torch.tanh(y) * frozen

    with torch.autocast("cpu", torch.bfloat16):
        y = remat(noted)(*arguments)
    torch.autograd.grad(y.square().sum(), arguments[:2], create_graph=records)
    assert set(types) == {torch.bfloat16}
    assert len(types) >= 2  # forward and again
