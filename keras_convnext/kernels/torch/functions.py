"""Torch's own functions, each of which takes one pass where `keras.ops` takes several.

With `keras.ops`, a layer norm is a mean, a variance and four products, and a linear layer adds the bias in a separate
pass.
"""

from torch.nn import functional


def layer_norm(x, gamma, beta, *, epsilon, training=False):
    """See the reference. The GPU's kernel needs gamma and beta in the type of x."""
    if x.is_cuda:
        gamma, beta = gamma.to(x.dtype), beta.to(x.dtype)
    return functional.layer_norm(x, gamma.shape, gamma, beta, epsilon)


def linear(x, kernel, bias, *, activation=None, training=False):
    """See the reference."""
    y = functional.linear(x, kernel.t(), bias)
    return y if activation is None else activation(y)
