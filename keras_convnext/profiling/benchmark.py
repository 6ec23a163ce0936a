"""Times cases against each other: in turn, round by round, each in a process of its own."""

import contextlib
import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass

from keras_convnext.processes import python_command
from keras_convnext.profiling.case import BACKENDS, Case

ROUND_SECONDS = 0.5

WIDE = 0.1
"""A spread above which a median says little: another measurement may give quite another one."""


@dataclass(frozen=True)
class Timing:
    """What was measured of a case.

    Attributes:
        case: the `Case`.
        seconds: tuple of float, the median step of each round.
        start_seconds: float, from an imported package to a warm model: building, tracing, compiling.
        peak_bytes: int, memory of the steps beyond what importing took; None where the system does not tell, or where
            the process ended after its last step.
    """

    case: Case
    seconds: tuple[float, ...]
    start_seconds: float
    peak_bytes: int | None

    @property
    def median(self):
        """Median seconds of a step over the rounds."""
        return statistics.median(self.seconds)

    @property
    def spread(self):
        """Of the seconds over the rounds: see `spread_of`."""
        return spread_of(self.seconds)


def ratios(ours, other):
    """How long ours takes, as a multiple of the other, in each round.

    In a round both stood next to each other, so that what slows the machine slows both. Their median is the result.
    """
    return [a / b for a, b in zip(ours.seconds, other.seconds, strict=True)]


def spread_of(numbers):
    """Half the distance between the quartiles of numbers, as a share of their median; 0 of a single one.

    Example:

    >>> from keras_convnext.profiling.benchmark import spread_of
    >>> spread_of([1.0, 1.0, 2.0, 3.0, 3.0])
    0.5
    """
    if len(numbers) < 2:
        return 0.0
    low, median, high = statistics.quantiles(numbers, n=4)
    return (high - low) / 2 / median


def time_in_turn(cases, rounds=15, progress: Callable[[str], None] = print):
    """Starts a process for each case, then lets them take steps in turn: first, second, ..., first, second, ...

    Args:
        cases: list of `Case`.
        rounds: int, how often each has its turn.
        progress: function of a line of text.

    Returns:
        `(timings, failures)`: a `Timing` for each case that ran, in their order, and a dict from the others to what
        went wrong. After Ctrl-C those of the rounds that were whole.
    """
    failures, seconds = {}, {case: [] for case in cases}
    with contextlib.ExitStack() as stack:
        workers = {}
        for case in cases:
            progress(f"starting {case}")
            with _failure_noted(case, failures):
                workers[case] = stack.enter_context(_Worker(case))
        with contextlib.suppress(KeyboardInterrupt):
            for number in range(1, rounds + 1):
                progress(f"round {number} of {rounds}")
                medians = {}
                for case, worker in workers.items():
                    with _failure_noted(case, failures):
                        medians[case] = worker.round()
                workers = {case: workers[case] for case in medians}
                for case, median in medians.items():
                    seconds[case].append(median)
        return [
            Timing(case, tuple(seconds[case]), worker.start_seconds, worker.peak_bytes())
            for case, worker in workers.items()
            if seconds[case]
        ], failures


@contextlib.contextmanager
def _failure_noted(case, failures):
    try:
        yield
    except _WorkerFailedError as error:
        failures[case] = str(error)


class _WorkerFailedError(Exception):
    """A worker ended before its time; the message is the last line that it wrote."""


class _Worker:
    """A process that times one case. A context manager: it ends with the block."""

    def __init__(self, case):
        self._case = case

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self._errors = stack.enter_context(tempfile.TemporaryFile("w+"))  # a pipe that nobody reads would fill up
            self._process = stack.enter_context(
                subprocess.Popen(
                    python_command("keras_convnext.profiling.worker:main", json.dumps(asdict(self._case))),
                    env=_environment(self._case),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    text=True,
                    start_new_session=True,  # Ctrl-C is for the process that asks, so that it can still ask
                )
            )
            stack.callback(self._close_input)
            stack.callback(self._process.kill)
            self.start_seconds = self._answer("start_seconds")
            self._steps = max(1, round(ROUND_SECONDS / self._median_of(1)))
            self._resources = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._resources.close()

    def round(self):
        """The median seconds of a round's steps."""
        return self._median_of(self._steps)

    def peak_bytes(self):
        """Ends the process and returns its peak memory beyond what importing took; None where it ended before."""
        self._close_input()
        with contextlib.suppress(_WorkerFailedError):
            return self._answer("peak_bytes")

    def _close_input(self):
        with contextlib.suppress(BrokenPipeError):  # it has ended, with words for it still underway
            self._process.stdin.close()

    def _median_of(self, steps):
        with contextlib.suppress(BrokenPipeError):  # it has ended: the missing answer says so
            print(steps, file=self._process.stdin, flush=True)
        return statistics.median(self._answer("seconds"))

    def _answer(self, key):
        """What the process says to the last question; what it says to one that was broken off is passed over."""
        for line in self._process.stdout:
            answer = json.loads(line)
            if key in answer:
                return answer[key]
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        raise _WorkerFailedError(lines[-1] if lines else "ended without a word")


def _environment(case):
    """The environment of a case's process: its backend, and no GPU where it is to run on the CPU."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if case.backend in BACKENDS:
        environment["KERAS_BACKEND"] = case.backend
    if case.device == "cpu":
        environment |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    return environment
