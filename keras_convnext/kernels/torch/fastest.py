"""Functions that compute the same on a GPU: which is the fastest is found by timing them, once for each shape."""

import torch

WARM_UPS, ROUNDS, CALLS = 3, 5, 10
"""Of a function: calls before it is timed, rounds that are timed, and calls in each round."""


class Fastest:
    """The fastest of several functions for arguments of the same shapes, types and device.

    The first function serves on other devices than CUDA's. So it does where nothing may be timed, which is while a CUDA
    graph is captured, and where results must be the same in every run, which they would not be if the choice fell
    differently: under `torch.use_deterministic_algorithms` and `torch.backends.cudnn.deterministic`.

    Of the other functions, those that raise an ImportError or a RuntimeError, such as NotImplementedError, are left out
    for arguments of this kind.

    Args:
        functions: of the same arguments, a tensor first, then tensors or hashable values. They change none of them.
        time: function of a function and its arguments, which returns how long a call takes. Defaults to
            `milliseconds`.
    """

    def __init__(self, *functions, time=None):
        self._functions = functions
        self._time = time or milliseconds
        self._found = {}

    def __call__(self, *arguments):
        return self.choose(*arguments)(*arguments)

    def choose(self, *arguments):
        """The function that serves for these arguments."""
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
        usable = [first, *(function for function in others if _runs(function, arguments))]
        if len(usable) == 1:
            return first
        return min(usable, key=lambda function: self._time(function, arguments))


def may_choose(x):
    """Whether another function than the first may serve for x."""
    deterministic = torch.are_deterministic_algorithms_enabled() or torch.backends.cudnn.deterministic
    return x.device.type == "cuda" and not deterministic


def is_capturing():
    """Whether a CUDA graph is being captured, in which nothing can be waited for."""
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


def _runs(function, arguments):
    try:
        function(*arguments)
    except (ImportError, RuntimeError):
        return False
    return True


def _kind(argument):
    if not isinstance(argument, torch.Tensor):
        return argument
    return argument.shape, argument.dtype, argument.device, argument.is_contiguous()
