"""What else than the kernels works on torch's tensors at the moment: transforms, modes, hooks.

This file imports torch: it is imported where the backend is torch.
"""

import torch
from torch.autograd import forward_ad
from torch.nn.modules import module

_TENSORS = (torch.Tensor, torch.nn.Parameter)


def is_transformed():
    """Whether a transform of `torch.func`, or forward mode, passes through what is called."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def is_observed(x, parts):
    """Whether a call is seen or changed from outside, so that each operation and each of the parts has to run.

    That is so for tensors of a subclass; within tracing, compilation, transforms, autocast and the modes of dispatch
    and of functions, such as `FlopCounterMode`; and where a part, or every module, has hooks.

    Args:
        x: tensor.
        parts: the layers that would be called.
    """
    return (
        type(x) not in _TENSORS
        or torch.jit.is_tracing()
        or torch.compiler.is_compiling()
        or is_transformed()
        or torch.is_autocast_enabled(x.device.type)
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._len_torch_function_stack() > 0
        or module._has_any_global_hook()
        or any(_has_hooks(part) for part in parts)
    )


def _has_hooks(part):
    return bool(
        part._forward_hooks
        or part._forward_pre_hooks
        or part._backward_hooks
        or part._backward_pre_hooks
        or part._compiled_call_impl
    )
