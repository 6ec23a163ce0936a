"""The depthwise convolution on torch. Its memory stays channels-last, without a copy.

While torch compiles a model, the convolution is a custom operation, which Inductor calls as it is. Otherwise Inductor
sorts the strides of a permuted map, and fails if a side of the map is symbolic, as it is after a second size.
"""

import torch
from torch.nn import functional


def depthwise_conv(x, kernel, bias, *, dilation, training=False):
    """See the reference."""
    if not torch.compiler.is_compiling() or torch.compiler.is_exporting():  # an exported graph has torch's own alone
        return _convolve(x, kernel, bias, dilation)
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, kernel, bias = (value if value is None else value.to(dtype) for value in (x, kernel, bias))
    return _compiled(x, kernel, bias, dilation)


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


def _channels_last(kernel):
    return kernel.permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last)


@torch.library.custom_op("keras_convnext::depthwise_conv", mutates_args=())
def _compiled(x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None, dilation: int) -> torch.Tensor:
    with torch.autocast(x.device.type, enabled=False):
        return _convolve(x, kernel, bias, dilation).contiguous()


@_compiled.register_fake
def _(x, kernel, bias, dilation):
    return x.new_empty(x.shape)


@torch.library.custom_op("keras_convnext::depthwise_conv_gradients", mutates_args=())
def _gradients(
    grad_y: torch.Tensor, x: torch.Tensor, kernel: torch.Tensor, dilation: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
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
        output_mask=[True, True, True],
    )
    return grad_x.permute(0, 2, 3, 1).contiguous(), grad_kernel.permute(2, 3, 0, 1).contiguous(), grad_bias


@_gradients.register_fake
def _(grad_y, x, kernel, dilation):
    return x.new_empty(x.shape), kernel.new_empty(kernel.shape), x.new_empty(x.shape[-1:])


def _save(ctx, inputs, output):
    x, kernel, bias, ctx.dilation = inputs
    ctx.has_bias = bias is not None
    ctx.save_for_backward(x, kernel)


def _backward(ctx, grad_y):
    grad_x, grad_kernel, grad_bias = _gradients(grad_y.contiguous(), *ctx.saved_tensors, ctx.dilation)
    return grad_x, grad_kernel, grad_bias if ctx.has_bias else None, None


_compiled.register_autograd(_backward, setup_context=_save)
