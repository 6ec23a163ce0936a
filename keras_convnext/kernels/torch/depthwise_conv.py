"""The depthwise convolution on torch. Its memory stays channels-last, without a copy.

On a GPU, torch's own convolution and that of `depthwise_triton.py` are timed, and the faster one is used. This is
decided per shape, and separately for the convolution, the gradient of its input and those of its weights. Torch's own
is always used if something observes single operations, and for gradients of gradients.

While torch compiles a model, the convolution is a custom operation, which Inductor calls as it is. Otherwise Inductor
would sort the strides of a permuted map, and fail if a side of the map is symbolic, as it is after a second size.
"""

import torch
from torch.nn import functional

from keras_convnext.kernels.shared.exporting import is_exporting
from keras_convnext.kernels.torch import fastest
from keras_convnext.kernels.torch.fastest import Fastest
from keras_convnext.kernels.torch.observers import sees_operations


def depthwise_conv(x, kernel, bias, *, dilation, training=False):
    """See the reference."""
    compiles = torch.compiler.is_compiling()
    if (
        is_exporting() or torch.compiler.is_exporting() or not (compiles or fastest.may_choose(x))
    ):  # an exported graph has torch's own
        return _convolve(x, kernel, bias, dilation)
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, kernel, bias = (value if value is None else value.to(dtype) for value in (x, kernel, bias))
        with torch.autocast(x.device.type, enabled=False):
            return depthwise_conv(x, kernel, bias, dilation=dilation)
    if compiles:
        return _compiled(x, kernel, bias, dilation)
    if sees_operations(x):
        return _convolve(x, kernel, bias, dilation)
    return _Eager.apply(x, kernel, bias, dilation)


# Torch's own.


def _convolve(x, kernel, bias, dilation):
    y = functional.conv2d(
        x.permute(0, 3, 1, 2),
        _channels_last(kernel),
        bias,
        padding=kernel.shape[0] // 2 * dilation,
        dilation=dilation,
        groups=x.shape[-1],
    )
    return y.permute(0, 2, 3, 1)


def _input_gradient_of_torch(grad_y, x, kernel, dilation):
    return _gradients_of_torch(grad_y, x, kernel, dilation, needs_weights=False)[0]


def _weight_gradients_of_torch(grad_y, x, kernel, dilation):
    return _gradients_of_torch(grad_y, x, kernel, dilation, needs_x=False)[1:]


def _gradients_of_torch(grad_y, x, kernel, dilation, *, needs_x=True, needs_weights=True):
    """See `_gradients`."""
    channels, padding = x.shape[-1], kernel.shape[0] // 2 * dilation
    grad_x, grad_kernel, grad_bias = torch.ops.aten.convolution_backward(
        grad_y.permute(0, 3, 1, 2),
        x.permute(0, 3, 1, 2),
        _channels_last(kernel),
        bias_sizes=[channels],
        stride=[1, 1],
        padding=[padding, padding],
        dilation=[dilation, dilation],
        transposed=False,
        output_padding=[0, 0],
        groups=channels,
        output_mask=[needs_x, needs_weights, needs_weights],
    )
    grad_x = grad_x.permute(0, 2, 3, 1) if needs_x else None
    return grad_x, grad_kernel.permute(2, 3, 0, 1) if needs_weights else None, grad_bias


def _channels_last(kernel):
    return kernel.permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last)


# In Triton.


def _convolve_in_triton(x, kernel, bias, dilation):
    return _triton(x, kernel, dilation).convolve(x, kernel, bias)


def _input_gradient_in_triton(grad_y, x, kernel, dilation):
    return _triton(x, kernel, dilation).convolve(grad_y, kernel, flipped=True)


def _weight_gradients_in_triton(grad_y, x, kernel, dilation):
    return _triton(x, kernel, dilation).weight_gradients(grad_y, x, kernel)


def _triton(x, kernel, dilation):
    """The module of the Triton kernels. Raises ImportError or NotImplementedError if they cannot be used."""
    from keras_convnext.kernels.torch import depthwise_triton  # importing Triton takes a second

    if dilation != 1 or not depthwise_triton.serves(x, kernel):
        raise NotImplementedError("Triton's kernels take dilation 1, and float32, bfloat16 or float16 tensors.")
    return depthwise_triton


# The faster of the two.

_forward = Fastest(_convolve, _convolve_in_triton)
_input_gradient = Fastest(_input_gradient_of_torch, _input_gradient_in_triton)
_weight_gradients = Fastest(_weight_gradients_of_torch, _weight_gradients_in_triton)


def _gradients(grad_y, x, kernel, dilation, *, needs_x=True, needs_weights=True):
    """The gradients of x, of the kernel and of the bias; None for those that are not needed."""
    grad_x = _input_gradient(grad_y, x, kernel, dilation) if needs_x else None
    return grad_x, *(_weight_gradients(grad_y, x, kernel, dilation) if needs_weights else (None, None))


class _Eager(torch.autograd.Function):
    """The convolution when torch neither compiles nor transforms it."""

    @staticmethod
    def forward(ctx, x, kernel, bias, dilation):
        ctx.dilation = dilation
        ctx.save_for_backward(x, kernel)
        return _forward(x, kernel, bias, dilation)

    @staticmethod
    def backward(ctx, grad_y):
        needs_x, needs_kernel, needs_bias, _ = ctx.needs_input_grad
        needed = {"needs_x": needs_x, "needs_weights": needs_kernel or needs_bias}
        function = _gradients_of_torch if torch.is_grad_enabled() else _gradients  # a gradient of these may follow
        grad_x, grad_kernel, grad_bias = function(grad_y.contiguous(), *ctx.saved_tensors, ctx.dilation, **needed)
        return grad_x, grad_kernel if needs_kernel else None, grad_bias if needs_bias else None, None


# Custom operations, which torch calls from compiled code.


@torch.library.custom_op("keras_convnext::depthwise_conv", mutates_args=())
def _compiled(x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None, dilation: int) -> torch.Tensor:
    with torch.autocast(x.device.type, enabled=False):
        return _forward(x, kernel, bias, dilation).contiguous()


@_compiled.register_fake
def _(x, kernel, bias, dilation):
    return x.new_empty(x.shape)


@torch.library.custom_op("keras_convnext::depthwise_conv_gradients", mutates_args=())
def _compiled_gradients(
    grad_y: torch.Tensor, x: torch.Tensor, kernel: torch.Tensor, dilation: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    grad_x, grad_kernel, grad_bias = _gradients(grad_y, x, kernel, dilation)
    return grad_x.contiguous(), grad_kernel.contiguous(), grad_bias


@_compiled_gradients.register_fake
def _(grad_y, x, kernel, dilation):
    return x.new_empty(x.shape), kernel.new_empty(kernel.shape), x.new_empty(x.shape[-1:])


def _save(ctx, inputs, output):
    x, kernel, bias, ctx.dilation = inputs
    ctx.has_bias = bias is not None
    ctx.save_for_backward(x, kernel)


def _backward(ctx, grad_y):
    grad_x, grad_kernel, grad_bias = _compiled_gradients(grad_y.contiguous(), *ctx.saved_tensors, ctx.dilation)
    return grad_x, grad_kernel, grad_bias if ctx.has_bias else None, None


_compiled.register_autograd(_backward, setup_context=_save)
