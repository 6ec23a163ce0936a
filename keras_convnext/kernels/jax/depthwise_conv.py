"""The depthwise convolution on JAX.

On the CPU, it is the sum of shifted products. On an Nvidia GPU, XLA's own convolution and that of `depthwise_pallas.py`
are timed, and the faster one is used. This is decided per shape, and separately for the convolution and for its
gradients, for which the shifted products are timed too. Elsewhere, it is XLA's own convolution.
"""

import jax

from keras_convnext.kernels import reference
from keras_convnext.kernels.jax.derivative import with_gradient
from keras_convnext.kernels.jax.device import on_cpu
from keras_convnext.kernels.jax.fastest import Fastest, may_choose
from keras_convnext.kernels.jax.shifted_products import shifted_products, shifted_products_gradients
from keras_convnext.kernels.shared.exporting import is_exporting


def depthwise_conv(x, kernel, bias, *, dilation, training=False):
    """See the reference."""
    if is_exporting() or not (on_cpu() or may_choose(x, kernel)):
        return reference.depthwise_conv(x, kernel, bias, dilation=dilation)
    convolve = shifted_products if on_cpu() else fastest_convolution
    y = convolve(x, kernel[..., 0], dilation)
    return y if bias is None else y + bias  # XLA fuses the bias and its gradient with what stands beside them


def fastest_convolution(x, kernel, dilation):
    """Convolves at stride 1 with "same" padding, in the fastest way for the shapes. See `shifted_products`."""

    def convolved(x, kernel):
        return _forward(x, kernel, dilation)

    def gradients(x, kernel, grad_y):
        return _gradients(x, kernel, grad_y, dilation)

    return with_gradient(convolved, gradients)(x, kernel)


# The ways to convolve, and to compute the gradients in x and in the kernel.


def _in_xla(x, kernel, dilation):
    return reference.depthwise_conv(x, kernel[..., None], None, dilation=dilation)


def _gradients_in_xla(x, kernel, grad_y, dilation):
    return jax.vjp(lambda x, kernel: _in_xla(x, kernel, dilation), x, kernel)[1](grad_y)


def _in_pallas(x, kernel, dilation):
    return _pallas(x, kernel, dilation).convolve(x, kernel)


def _gradients_in_pallas(x, kernel, grad_y, dilation):
    return _pallas(x, kernel, dilation).gradients(x, kernel, grad_y)


def _pallas(x, kernel, dilation):
    """The module of the Pallas kernels. Raises ImportError or NotImplementedError if they cannot be used."""
    from keras_convnext.kernels.jax import depthwise_pallas  # importing Pallas takes a second

    if dilation != 1 or not depthwise_pallas.serves(x, kernel):
        raise NotImplementedError("The Pallas kernels take dilation 1, and float32, bfloat16 or float16 arrays.")
    return depthwise_pallas


_forward = Fastest(_in_xla, _in_pallas)
_gradients = Fastest(_gradients_in_xla, _gradients_in_pallas, shifted_products_gradients)
