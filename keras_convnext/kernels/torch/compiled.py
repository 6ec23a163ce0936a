"""Functions of a block that torch compiles, on GPUs: fewer passes over memory, and fewer launches.

Each function is compiled when it is first called with weights of new shapes, types and gradients, or with a map of
another size; the size of the batch is free, except for a batch of one. At most `SIZES` sizes are compiled for the same
weights: others are computed as they are, operation by operation. So are all if torch fails to compile, such as where
there is no Triton or no C compiler; it is not tried again.

To compile nothing, set `TORCH_COMPILE_DISABLE=1` before Python starts, or call
`torch.compiler.set_stance("force_eager")`. Torch keeps what it compiled on disk for the next process, in
`TORCHINDUCTOR_CACHE_DIR`.

Where torch or another program looks at single operations, as in an outer `torch.compile`, `torch.export`, autocast and
`torch.func`, nothing is compiled here.
"""

import itertools
import types
import warnings

import torch
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
from torch._inductor.exc import CppCompileError, InvalidCxxCompiler

from keras_convnext.kernels.torch.observers import is_plain, sees_operations

DEVICES = ("cuda",)
"""The types of devices where compiled functions serve. On the CPU they are no faster than the other forms."""

BACKEND = "inductor"
"""What compiles, as torch names it."""

SIZES = 4
"""The sizes of maps that are compiled for the same weights; a batch of one counts separately."""

FAILURES = TorchDynamoException, FailOnRecompileLimitHit, CppCompileError, InvalidCxxCompiler
"""What torch raises where it cannot compile. Errors of the computation itself are of other types."""

_programs: dict[tuple, dict] = {}
"""By what is fixed in them, and by the size of the map."""


def serves(x, *weights):
    """Whether x is on a device of `DEVICES`, compilation is on, and nothing sees the single operations."""
    return (
        x.device.type in DEVICES
        and not torch._dynamo.config.disable
        and not sees_operations(x)
        and all(map(is_plain, weights))
    )


def call(function, settings, x, keep, weights):
    """`function(settings, x, keep, *weights)`, compiled where it can be.

    It has first and second derivatives, and its graph may be kept: what torch compiled has the first derivative once,
    and other derivatives are those of the function as it is.

    Args:
        function: function at the top level of a module.
        settings: of the function, hashable.
        x: `(batch, height, width, channels)`.
        keep: `(batch, 1, 1, 1)` or None.
        weights: tensors, some of which may be None.
    """
    program = _program(function, settings, x, keep, weights)
    if program is None or program.has_failed:
        return function(settings, x, keep, *weights)
    x = x.contiguous()
    if _records((x, keep, *weights)):
        return _Recorded.apply(program, x, keep, *weights)
    return program(*_detached((x, keep, *weights)))


def _program(function, settings, x, keep, weights):
    """The compiled function for these tensors; None where as many sizes as may be are compiled."""
    records = torch.is_grad_enabled()
    fixed = (function, settings, x.device, records, torch.is_inference_mode_enabled(), x.is_inference())
    tensors = (
        None if each is None else (each.dtype, records and each.requires_grad, None if each is keep else each.shape)
        for each in (keep, *weights)
    )
    fixed = (*fixed, x.dtype, records and x.requires_grad, *tensors)
    programs = _programs.setdefault(fixed, {})
    size = (*x.shape[1:], x.shape[0] == 1)
    if size not in programs and len(programs) < SIZES and x.numel():
        programs[size] = _Program(function, settings)
    return programs.get(size)


class _Program:
    """A function of tensors that have the same shapes in each call, but for the batch.

    Dynamo caches compiled graphs by the code object of the function, and limits their number per code object. Each
    program therefore has a separate code object and name.
    """

    _numbers = itertools.count()

    def __init__(self, function, settings):
        def program(*tensors):
            return function(settings, *tensors)

        name = f"{function.__name__}_{next(self._numbers)}"
        code = program.__code__.replace(co_name=name, co_qualname=name)
        own = types.FunctionType(code, program.__globals__, name, None, program.__closure__)
        self._plain, self._compiled = program, torch.compile(own, fullgraph=True, backend=BACKEND)
        self._was_called = self.has_failed = False

    def __call__(self, x, keep, *weights):
        if not self.has_failed:
            if x.shape[0] > 1:
                for each in (x,) if keep is None else (x, keep):
                    torch._dynamo.mark_dynamic(each, 0)
            try:
                if not self._was_called:
                    self._compile_gradients(x, keep, *weights)
                return self._compiled(x, keep, *weights)
            except FAILURES:
                self.has_failed = True
        return self._plain(x, keep, *weights)

    def _compile_gradients(self, *tensors):
        """Computes them once: torch may compile them when they are first needed, where no other form could serve."""
        with warnings.catch_warnings():  # of functions of Keras that keep results, which the compiled form need not
            warnings.filterwarnings("ignore", "Dynamo detected a call to a `functools.lru_cache`", UserWarning)
            y = self._compiled(*tensors)
        if y.requires_grad:
            torch.autograd.grad(y, [each for each in tensors if _needs(each)], torch.zeros_like(y))
        self._was_called = True


class _Recorded(torch.autograd.Function):
    """A program with gradients."""

    @staticmethod
    def forward(context, program, *tensors):
        context.save_for_backward(*tensors)
        context.plain = program._plain
        with torch.enable_grad():
            inputs = _detached(tensors)
            y = program(*inputs)
        context.recorded = y, [each for each in inputs if _needs(each)]
        return y.detach()

    @staticmethod
    def backward(context, gradient):
        tensors, keeps_graph = context.saved_tensors, torch.is_grad_enabled()
        recorded, context.recorded = context.recorded, None
        if keeps_graph or recorded is None:  # a gradient of this gradient will be sought, or it was computed before
            recorded = _plainly_recorded(context.plain, tensors, keeps_graph)
        y, sought = recorded
        found = iter(torch.autograd.grad(y, sought, gradient, create_graph=keeps_graph))
        return None, *(next(found) if needed else None for needed in context.needs_input_grad[1:])


def _plainly_recorded(function, tensors, keeps_graph):
    with torch.enable_grad(), torch.autocast(tensors[0].device.type, enabled=False):
        tensors = tensors if keeps_graph else _detached(tensors)
        return function(*tensors), [each for each in tensors if _needs(each)]


def _records(tensors):
    return torch.is_grad_enabled() and any(map(_needs, tensors))


def _needs(tensor):
    return tensor is not None and tensor.requires_grad


def _detached(tensors):
    """The tensors as leaves that need gradients as they do: of one type, with the memory of the given ones."""
    records = torch.is_grad_enabled()
    return [
        None if each is None else each.detach().requires_grad_(each.requires_grad) if records else each.detach()
        for each in tensors
    ]
