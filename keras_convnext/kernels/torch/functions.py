"""Torch's own functions, each of which takes one pass where `keras.ops` takes several.

With `keras.ops`, a layer norm is a mean, a variance and four products, and a linear layer adds the bias in a separate
pass.
"""

import torch
from torch.nn import functional

from keras_convnext.kernels import reference
from keras_convnext.kernels.reference.norms import scaled_by_response
from keras_convnext.kernels.shared.exporting import is_exporting, is_exporting_for


def layer_norm(x, gamma, beta, *, epsilon, training=False):
    """See the reference. The GPU's kernel needs gamma and beta in the type of x."""
    if is_exporting_for("openvino") and x.ndim == 4:
        return _layer_norm_of_maps(x, gamma, beta, epsilon)
    if x.is_cuda:
        gamma, beta = gamma.to(x.dtype), beta.to(x.dtype)
    return functional.layer_norm(x, gamma.shape, gamma, beta, epsilon)


def _layer_norm_of_maps(x, gamma, beta, epsilon):
    """A layer norm between two permutations, which cancel those of the convolutions before and after it.

    OpenVINO computes its own layer norm of the last axis only in that order of the memory, and permutes the map before.
    """
    exact = x.permute(0, 3, 1, 2).to(torch.promote_types(x.dtype, torch.float32))
    centered = exact - exact.mean(1, keepdim=True)
    normalized = centered / torch.sqrt((centered * centered).mean(1, keepdim=True) + epsilon)
    gamma, beta = (weight.to(exact.dtype)[:, None, None] for weight in (gamma, beta))
    return (normalized * gamma + beta).to(x.dtype).permute(0, 2, 3, 1)


def linear(x, kernel, bias, *, activation=None, training=False):
    """See the reference."""
    if is_exporting_for("onnxruntime") and x.ndim == 4:
        y = functional.conv2d(x.permute(0, 3, 1, 2), kernel.t()[:, :, None, None], bias)
        return (y if activation is None else activation(y)).permute(0, 2, 3, 1)
    y = functional.linear(x, kernel.t(), bias)
    return y if activation is None else activation(y)


def grn(x, gamma, beta, *, epsilon):
    """See the reference. Exporters have one operation for the norm."""
    if not is_exporting():
        return reference.grn(x, gamma, beta, epsilon=epsilon)
    norm = torch.linalg.vector_norm(x.to(torch.promote_types(x.dtype, torch.float32)), dim=(1, 2), keepdim=True)
    return scaled_by_response(x, norm, gamma, beta, epsilon)
