"""Recomputation on torch: on the CPU, a few images at a time.

`torch.utils.checkpoint` ends a recomputation early by an exception. Each Keras layer that the exception passes adds to
its message, and thereby keeps the results of the layers alive until Python collects reference cycles. These are most of
what recomputation should free.
"""

import torch

from keras_convnext.kernels.shared.microbatches import batch_parts
from keras_convnext.kernels.torch.observers import is_transformed


def remat(function):
    """See the reference."""

    class Recomputed(torch.autograd.Function):
        @staticmethod
        def forward(context, x, *weights):
            context.save_for_backward(x, *weights)
            context.autocast = _autocast(x.device.type)
            parts = [function(images, *weights) for images in x.chunk(_parts(x))]
            return parts[0] if len(parts) == 1 else torch.cat(parts)

        @staticmethod
        def backward(context, gradient):
            if torch.is_grad_enabled():  # this gradient will be differentiated
                return _recorded_gradients(function, context, gradient)
            x, *weights = (
                tensor.detach().requires_grad_(needed)
                for tensor, needed in zip(context.saved_tensors, context.needs_input_grad, strict=True)
            )
            trainable = [weight for weight in weights if weight.requires_grad]
            grad_x = torch.empty_like(x)  # allocated, like the sums, before the memory that is freed again
            sums = [torch.zeros_like(weight, dtype=_exact(weight.dtype)) for weight in trainable]
            parts = zip(*(tensor.chunk(_parts(x)) for tensor in (x.detach(), gradient, grad_x)), strict=True)
            for images, grad_y, grad_images in parts:
                images.requires_grad_()
                with torch.enable_grad(), torch.autocast(*context.autocast):
                    y = function(images, *weights)
                part, *grad_trainable = torch.autograd.grad(y, (images, *trainable), grad_y)
                grad_images.copy_(part)
                torch._foreach_add_(sums, grad_trainable)
            grad_trainable = (total.to(weight.dtype) for total, weight in zip(sums, trainable, strict=True))
            return grad_x, *(next(grad_trainable) if weight.requires_grad else None for weight in weights)

    def call(*arguments):
        """Recomputes except in `torch.func` and forward mode, which do not support such a function."""
        return function(*arguments) if is_transformed() else Recomputed.apply(*arguments)

    return call


def _recorded_gradients(function, context, gradient):
    """The gradients of the whole batch, recorded by torch so that they can be differentiated."""
    arguments = context.saved_tensors
    sought = [each for each, needed in zip(arguments, context.needs_input_grad, strict=True) if needed]
    with torch.autocast(*context.autocast):
        y = function(*arguments)
    found = iter(torch.autograd.grad(y, sought, gradient, create_graph=True))
    return tuple(next(found) if needed else None for needed in context.needs_input_grad)


def _autocast(device):
    """The arguments of `torch.autocast` that reproduce its present state on a device such as `"cpu"`."""
    return device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)


def _exact(dtype):
    """The type in which parts are added up."""
    return torch.promote_types(dtype, torch.float32)


def _parts(x):
    return batch_parts(x.shape[0], x.nbytes) if x.device.type == "cpu" else 1
