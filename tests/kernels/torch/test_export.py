"""The forms of exports that PyTorch has for single runtimes."""

import pytest
import torch

from keras_convnext import kernels


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float16", 4e-3), ("float64", 1e-12)])
def test_a_layer_norm_for_openvino_is_torchs_own(dtype, tolerance):
    generator = torch.Generator().manual_seed(0)
    dtype = getattr(torch, dtype)
    x = torch.randn(2, 5, 4, 3, generator=generator, dtype=torch.float64).to(dtype)
    gamma, beta = torch.randn(2, 3, generator=generator)
    expected = torch.nn.functional.layer_norm(x, (3,), gamma.to(dtype), beta.to(dtype), 1e-6)

    def norm(x):
        return kernels.layer_norm(x, gamma.to(x.dtype), beta.to(x.dtype), epsilon=1e-6)

    with kernels.exporting("openvino"):
        assert norm(x).dtype == dtype
        torch.testing.assert_close(norm(x), expected, rtol=tolerance, atol=tolerance)
        assert not uses_torchs_own(norm, x)
        features = x[:, 0, 0]
        torch.testing.assert_close(norm(features), expected[:, 0, 0], rtol=tolerance, atol=tolerance)
    assert uses_torchs_own(norm, x)


def uses_torchs_own(function, x):
    """Whether a function of one tensor is computed by torch's layer norm."""
    with torch.profiler.profile() as profiler:
        function(x)
    return any("layer_norm" in event.name for event in profiler.events())
