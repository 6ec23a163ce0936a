"""Choosing the fastest of several functions that compute the same on a GPU, by timing them once per shape."""

import torch

WARM_UPS, ROUNDS, CALLS = 3, 5, 10
"""The calls of a function before it is timed, the rounds that are timed, and the calls in each round."""

TOLERANCE = 0.02
"""Of results, relative to their largest value: more than the rounding of bfloat16 and less than any mistake."""


class Fastest:
    """The fastest of several functions for arguments of the same shapes, types and device.

    In three cases the first function is used without timing. One is a device other than CUDA's. The second is that a
    CUDA graph is captured before the choice was made, because nothing can be timed then. The third is
    `torch.use_deterministic_algorithms` or `torch.backends.cudnn.deterministic`, because results would differ between
    runs if the choice did.

    Another function is not used for arguments of this kind if it raises an ImportError or a RuntimeError, such as
    NotImplementedError, or if its results differ from those of the first by more than `TOLERANCE`.

    Args:
        functions: functions of the same arguments: a tensor first, then tensors or hashable values. They must not
            change their arguments.
        time: function of a function and its arguments that returns how long a call takes. Defaults to `milliseconds`.
    """

    def __init__(self, *functions, time=None):
        self._functions = functions
        self._time = time or milliseconds
        self._found = {}

    def __call__(self, *arguments):
        return self.choose(*arguments)(*arguments)

    def choose(self, *arguments):
        """The function to use for these arguments."""
        if not may_choose(arguments[0]):
            return self._functions[0]
        kind = tuple(_kind(argument) for argument in arguments)
        if kind not in self._found:
            if is_capturing():
                return self._functions[0]
            self._found[kind] = self._fastest(arguments)
        return self._found[kind]

    def _fastest(self, arguments):
        first, *others = self._functions
        expected = _results(first, arguments)
        usable = [first, *(function for function in others if _agrees(function, arguments, expected))]
        if len(usable) == 1:
            return first
        return min(usable, key=lambda function: self._time(function, arguments))


def may_choose(x):
    """Whether a function other than the first may be used for x."""
    deterministic = torch.are_deterministic_algorithms_enabled() or torch.backends.cudnn.deterministic
    return x.device.type == "cuda" and not deterministic


def is_capturing():
    """Whether a CUDA graph is being captured, during which the CPU cannot wait for the GPU."""
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


def milliseconds(function, arguments):
    """The time of a call on the GPU, in milliseconds: that of the fastest round."""
    with torch.cuda.device_of(arguments[0]):
        for _ in range(WARM_UPS):
            function(*arguments)
        rounds = []
        for _ in range(ROUNDS):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            for _ in range(CALLS):
                function(*arguments)
            end.record()
            end.synchronize()
            rounds.append(start.elapsed_time(end) / CALLS)
    return min(rounds)


def _agrees(function, arguments, expected):
    try:
        found = _results(function, arguments)
    except (ImportError, RuntimeError):
        return False
    return all(_is_close(each, other) for each, other in zip(found, expected, strict=True))


def _results(function, arguments):
    results = function(*arguments)
    return results if isinstance(results, tuple) else (results,)


def _is_close(found, expected):
    found, expected = found.float(), expected.float()
    return bool((found - expected).abs().max() <= TOLERANCE * expected.abs().max())


def _kind(argument):
    if not isinstance(argument, torch.Tensor):
        return argument
    return argument.shape, argument.dtype, argument.device, argument.is_contiguous()
