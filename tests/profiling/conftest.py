"""What PyTorch counts in a module's forward pass: figures that this package had no hand in."""

import collections

import pytest


@pytest.fixture(scope="session")
def macs_in_torch():
    """A function: multiply-accumulates of convolutions, linear layers and attention; torch counts two for each."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    def count(module, x):
        # with gradients and by products: the operations that have all of an attention inside are not counted
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            module.eval()(x)
        return counter.get_total_flops() // 2

    return count


@pytest.fixture(scope="session")
def calls_in_torch():
    """A function: how often a module of each class is called."""
    import torch

    def count(module, x):
        calls = collections.Counter()
        for part in module.modules():
            part.register_forward_hook(lambda part, *_: calls.update([type(part).__name__]))
        with torch.no_grad():
            module.eval()(x)
        return calls

    return count
