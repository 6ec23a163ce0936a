"""Whether transforms, modes or hooks observe the operations on torch's tensors at the moment."""

import torch
from torch.autograd import forward_ad
from torch.nn.modules import module

_TENSORS = (torch.Tensor, torch.nn.Parameter)


def is_transformed():
    """Whether a transform of `torch.func`, or forward mode, is active."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def is_plain(tensor):
    """Whether a tensor is not of a subclass, such as one that is distributed over devices. None is plain."""
    return tensor is None or type(tensor) in _TENSORS


def is_observed(x, layers):
    """See the reference. True if `sees_operations`, or if one of the layers, or every module, has hooks."""
    return sees_operations(x) or module._has_any_global_hook() or any(_has_hooks(layer) for layer in layers)


def sees_operations(x):
    """Whether something observes or changes each operation on x.

    True for tensors of a subclass and on the meta device, as in Keras's symbolic calls; during tracing, compilation,
    transforms and autocast; and in the modes of dispatch and of functions, such as `FlopCounterMode`.
    """
    return (
        not is_plain(x)
        or x.is_meta  # for this device torch cannot tell whether autocast is enabled
        or torch.jit.is_tracing()
        or torch.compiler.is_compiling()
        or is_transformed()
        or torch.is_autocast_enabled(x.device.type)
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._len_torch_function_stack() > 0
    )


def _has_hooks(layer):
    return bool(
        layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
        or layer._compiled_call_impl
    )
