"""Recomputation on torch, on the CPU some images after the other.

`torch.utils.checkpoint` ends a recomputation early by an exception. Keras adds to its message in each layer that it
passes, in a way that keeps what the layers computed alive until Python looks for cycles: most of what recomputation
should free.

This file imports torch: it is imported where the backend is torch.
"""

import torch

from keras_convnext.layers.batch_parts import batch_parts


def remat(function):
    """`function(x, *weights)`, of whose call only the arguments are kept for the gradient, which has none itself.

    Args:
        function: of x and tensors; what it makes of an image of x is not to depend on the others.
    """

    class Recomputed(torch.autograd.Function):
        @staticmethod
        def forward(context, x, *weights):
            context.save_for_backward(x, *weights)
            return torch.cat([function(images, *weights) for images in x.chunk(_parts(x))])

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(context, gradient):
            x, *weights = (
                tensor.detach().requires_grad_(needed)
                for tensor, needed in zip(context.saved_tensors, context.needs_input_grad, strict=True)
            )
            trainable = [weight for weight in weights if weight.requires_grad]
            in_x = torch.empty_like(x)  # made, as the sums, before the memory that is freed again
            sums = [torch.zeros_like(weight, dtype=_exact(weight.dtype)) for weight in trainable]
            parts = zip(*(tensor.chunk(_parts(x)) for tensor in (x.detach(), gradient, in_x)), strict=True)
            for images, in_y, in_images in parts:
                images.requires_grad_()
                with torch.enable_grad():
                    y = function(images, *weights)
                part, *in_trainable = torch.autograd.grad(y, (images, *trainable), in_y)
                in_images.copy_(part)
                torch._foreach_add_(sums, in_trainable)
            in_trainable = (total.to(weight.dtype) for total, weight in zip(sums, trainable, strict=True))
            return in_x, *(next(in_trainable) if weight.requires_grad else None for weight in weights)

    return Recomputed.apply


def _exact(dtype):
    """The type to add parts up in."""
    return torch.promote_types(dtype, torch.float32)


def _parts(x):
    return batch_parts(len(x), x.nbytes) if x.device.type == "cpu" else 1
