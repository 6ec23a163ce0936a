"""A block without gradients on torch's CPU."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from keras_convnext.kernels.torch import inference
from keras_convnext.layers import ConvNeXtBlock, Downsample, Stem

VERSIONS = {
    "v1": {},
    "v2": {"use_grn": True, "layer_scale_init_value": None},
    "rms": {"norm": "rms_norm", "activation": "silu", "conv_bias": False},
    "simple": {"norm": "simple_norm", "activation": "gelu_tanh", "use_grn": True},
}


@pytest.fixture(params=VERSIONS.values(), ids=VERSIONS)
def block(request, randomize):
    block = ConvNeXtBlock(kernel_size=3, drop_path_rate=0.5, **request.param)
    block.build((None, None, None, 8))
    return randomize(block)


def draw(*shape):
    return torch.randn(*shape, 8, generator=torch.Generator().manual_seed(0))


def test_equals_the_block_with_gradients(block):
    x = draw(3, 6, 5)
    with torch.no_grad():
        found = block(x)
    np.testing.assert_allclose(found, block(x).detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("onednn_bytes", [0, 2**20])
def test_slices_of_images_and_pixels(block, monkeypatch, onednn_bytes):
    """Two slices of images, the first of two; of V1 each again in slices of pixels."""
    x = draw(3, 6, 5)
    monkeypatch.setattr(inference, "ONEDNN_WEIGHT_BYTES", onednn_bytes)
    monkeypatch.setattr(inference, "THREAD_BYTES", 0)
    monkeypatch.setattr(inference, "THREAD_PIXELS", 45 / torch.get_num_threads())
    with torch.no_grad():
        found = block(x)
    np.testing.assert_allclose(found, block(x).detach(), rtol=1e-5, atol=1e-5)


def test_threads_do_not_share(block):
    inputs = [number * draw(2, 6, 5) for number in range(1, 5)]

    def outputs(x):
        with torch.no_grad():
            return [block(x) for _ in range(20)]

    expected = [outputs(x)[0] for x in inputs]
    with ThreadPoolExecutor(4) as threads:
        for found, one in zip(threads.map(outputs, inputs), expected, strict=True):
            assert all(torch.equal(y, one) for y in found)


def test_drop_path_drops_without_gradients_too(block):
    x = draw(8, 3, 3)
    with torch.no_grad():
        same = (block(x, training=True) == x).flatten(1).all(1)
    assert 0 < same.sum() < 8


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_other_types(block, dtype):
    half = ConvNeXtBlock.from_config({**block.get_config(), "dtype": dtype})
    half.build((None, None, None, 8))
    half.set_weights(block.get_weights())
    x = draw(2, 6, 5)
    with torch.no_grad():
        expected, found = block(x), half(x)
    assert found.dtype == getattr(torch, half.compute_dtype)
    np.testing.assert_allclose(found.float(), expected, atol=0.03 * float(expected.abs().max()))


@pytest.mark.parametrize("options", [{}, {"norm": "rms_norm", "conv_bias": False}], ids=["plain", "rms"])
@pytest.mark.parametrize("make", [Stem, Downsample])
@pytest.mark.parametrize("size", [(8, 12), (9, 14), (4, 5)])
def test_patch_embed(randomize, monkeypatch, make, size, options):
    layer = make(6, **options)
    layer.build((None, None, None, 8))
    randomize(layer)
    x = draw(5, *size)
    expected = layer(x).detach()
    monkeypatch.setattr(inference, "THREAD_PIXELS", 2 * size[0] * size[1] / torch.get_num_threads())
    calls = []
    patch_embed = inference.patch_embed
    monkeypatch.setattr(inference, "patch_embed", lambda *parts: calls.append(1) or patch_embed(*parts))
    with torch.no_grad():
        found = layer(x)
    assert calls
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_hooks_on_the_parts_fire(block):
    seen = []
    for part in block._flatten_layers(include_self=False):
        part.register_forward_hook(lambda part, *_: seen.append(part.name))
    with torch.no_grad():
        block(draw(2, 6, 5))
    assert sorted(seen) == sorted(part.name for part in block._flatten_layers(include_self=False))


def test_counters_see_as_much_as_with_gradients(block):
    counts = []
    for recorded in (False, True):
        with torch.set_grad_enabled(recorded), FlopCounterMode(display=False) as counter:
            block(draw(2, 6, 5))
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(block, dtype):
    x = draw(2, 6, 5)
    with torch.no_grad():
        expected = block(x)
        with torch.autocast("cpu", dtype):
            found = block(x)
    np.testing.assert_allclose(found.float(), expected, atol=0.03 * float(expected.abs().max()))


def test_a_replaced_call_is_called(block):
    block.norm.call = lambda x, training=None: 0 * x
    x = draw(2, 6, 5)
    with torch.no_grad():
        found = block(x)
    np.testing.assert_allclose(found, block(x).detach(), rtol=1e-5, atol=1e-5)
