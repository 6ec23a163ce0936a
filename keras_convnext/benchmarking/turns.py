"""Times cases against each other: in turn, round by round, each in a separate process."""

import contextlib
import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass

from keras_convnext.benchmarking.case import Case
from keras_convnext.benchmarking.device import environment
from keras_convnext.benchmarking.spread import spread_of
from keras_convnext.processes import python_command

ROUND_SECONDS = 0.5


@dataclass(frozen=True)
class Timing:
    """The measurement of a case.

    Attributes:
        case: what was timed.
        seconds: the median time of a step in each round.
        start_seconds: time from the imported package to a warm model: building, tracing and compiling.
        peak_bytes: peak memory of the steps: on the CPU, what exceeds the memory after importing; on a GPU, the memory
            of the GPU. None if the system does not tell it, or if the process was killed after its last step.
        loopback_bytes: bytes per step that crossed the machine's loopback interface, over which its processes exchange
            gradients: the median over the rounds. None if the system does not tell it.

    Example:

    >>> from keras_convnext.benchmarking import Case, Timing
    >>> case = Case("timm", "torch", "compiled", "forward", "convnext_tiny", 8, 224, dtype="float32", device="cpu")
    >>> Timing(case, seconds=(0.20, 0.25, 0.21), start_seconds=30.0, peak_bytes=None).median
    0.21
    """

    case: Case
    seconds: tuple[float, ...]
    start_seconds: float
    peak_bytes: int | None
    loopback_bytes: int | None = None

    @property
    def median(self) -> float:
        """The median over the rounds, in seconds per step."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """The spread over the rounds: see `spread_of`."""
        return spread_of(self.seconds)


def ratios(ours: Timing, other: Timing) -> list[float]:
    """Divides our time by the other's, round by round. The median of these ratios is the result.

    Within a round both take their turns shortly after each other, so that what slows the machine slows both.

    Args:
        ours: the measurement of our case.
        other: the measurement of another one, in as many rounds.

    Returns:
        A ratio per round.

    Example:

    >>> from keras_convnext.benchmarking import Timing, ratios
    >>> ours, other = (
    ...     Timing(case=None, seconds=seconds, start_seconds=1.0, peak_bytes=None)
    ...     for seconds in ((1.0, 3.0), (2.0, 4.0))
    ... )
    >>> ratios(ours, other)
    [0.5, 0.75]
    """
    return [a / b for a, b in zip(ours.seconds, other.seconds, strict=True)]


def time_in_turn(
    cases: list[Case], rounds: int = 15, progress: Callable[[str], None] = print
) -> tuple[list[Timing], dict[Case, str]]:
    """Starts a process for each case, and lets them take steps in turn: first, second, ..., first, second, ...

    Only one process computes at a time, even while they start: the next one starts when the last one's model is warm.

    Args:
        cases: what is timed.
        rounds: number of turns of each case. Defaults to 15.
        progress: called with a line of text before each case is started, and before each round. Defaults to `print`.

    Returns:
        `(timings, failures)`: a list with a `Timing` for each case that ran, and a dict from each other case to its
        error message. After Ctrl-C, the timings cover the complete rounds.

    Example:

    >>> from keras_convnext.benchmarking import Case, time_in_turn
    >>> cases = [
    ...     Case(package, "torch", "", "forward", "convnext_atto", batch=8, size=64, dtype="float32", device="cpu")
    ...     for package in ("keras_convnext", "timm")
    ... ]
    >>> timings, failures = time_in_turn(cases, rounds=3)  # doctest: +SKIP
    """
    failures: dict[Case, str] = {}
    seconds: dict[Case, list[float]] = {case: [] for case in cases}
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
            Timing(case, tuple(seconds[case]), worker.start_seconds, worker.peak_bytes(), worker.loopback_bytes())
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
    """A worker ended early. The message is the last line that it wrote."""


class _Worker:
    """A process that times one case; a context manager that ends it."""

    def __init__(self, case):
        self._case = case

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self._errors = stack.enter_context(tempfile.TemporaryFile("w+"))  # a pipe that nobody reads would fill up
            self._process = stack.enter_context(
                subprocess.Popen(
                    python_command("keras_convnext.benchmarking.worker:main", json.dumps(asdict(self._case))),
                    env=environment(self._case.device, self._case.backend),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    text=True,
                    start_new_session=True,  # Ctrl-C goes to this process alone, which can then still ask
                )
            )
            stack.callback(self._close_input)
            stack.callback(self._process.kill)
            self.start_seconds = self._answer("start_seconds")["start_seconds"]
            self._loopback_bytes = []
            self._steps = max(1, round(ROUND_SECONDS / self._median_of(1)))
            self._resources = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._resources.close()

    def round(self):
        """Takes the steps of a round, and returns their median in seconds."""
        return self._median_of(self._steps)

    def peak_bytes(self):
        """Ends the process, and returns the peak memory of its steps; None if it had ended before."""
        self._close_input()
        with contextlib.suppress(_WorkerFailedError):
            return self._answer("peak_bytes")["peak_bytes"]

    def loopback_bytes(self):
        """The median over the rounds of the bytes per step that crossed the loopback interface; None if unknown."""
        known = [count for count in self._loopback_bytes if count is not None]
        return round(statistics.median(known)) if known else None

    def _close_input(self):
        with contextlib.suppress(BrokenPipeError):  # it has ended, with input still unread
            self._process.stdin.close()

    def _median_of(self, steps):
        with contextlib.suppress(BrokenPipeError):  # it has ended: the missing answer says so
            print(steps, file=self._process.stdin, flush=True)
        answer = self._answer("seconds")
        self._loopback_bytes.append(answer["loopback_bytes"])
        return statistics.median(answer["seconds"])

    def _answer(self, key):
        """The answer to the last question, which has this key. Answers to an interrupted question are skipped."""
        for line in self._process.stdout:
            answer = json.loads(line)
            if key in answer:
                return answer
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        raise _WorkerFailedError(lines[-1] if lines else "ended without a message")
