"""Whether something besides the kernels works on torch's tensors at the moment: transforms, modes, hooks."""

import torch
from torch.autograd import forward_ad
from torch.nn.modules import module

_TENSORS = (torch.Tensor, torch.nn.Parameter)


def is_transformed():
    """Whether a transform of `torch.func`, or forward mode, passes through what is called."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def is_plain(tensor):
    """Whether it is no tensor of a subclass, such as one that is spread over devices. None is plain."""
    return tensor is None or type(tensor) in _TENSORS


def is_observed(x, layers):
    """See the reference. True where `sees_operations`, and where one of the layers, or every module, has hooks."""
    return sees_operations(x) or module._has_any_global_hook() or any(_has_hooks(layer) for layer in layers)


def sees_operations(x):
    """Whether something sees or changes each operation on x.

    True for tensors of a subclass, and of the meta device, as in Keras's symbolic calls; within tracing, compilation,
    transforms and autocast; and within the modes of dispatch and of functions, such as `FlopCounterMode`.
    """
    return (
        not is_plain(x)
        or x.is_meta  # of which torch cannot tell whether autocast is enabled
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
