"""Compares our models with others: the time of each, the ratios, and the share of the machine's peak."""

import statistics
from collections.abc import Callable
from dataclasses import asdict, replace

from keras_convnext.benchmarking.case import Case
from keras_convnext.benchmarking.packages import COPY_BYTES, LIMITS, MATRIX_SIDES, OURS, PACKAGES, macs
from keras_convnext.benchmarking.runtimes import runtime_of
from keras_convnext.benchmarking.spread import spread_of
from keras_convnext.benchmarking.turns import Timing, ratios, time_in_turn

PASSES = {"forward": 1, "train": 3}
"""Multiply-accumulates of a task in units of the forward pass. The backward pass has twice as many."""


def compare(cases: list[Case], rounds: int, progress: Callable[[str], None]) -> dict:
    """Times cases in turn, and divides our times by those of the others.

    Args:
        cases: ours, the others, and the limits of the machine.
        rounds: number of rounds.
        progress: called with a line of text, as by `time_in_turn`.

    Returns:
        A dict for JSON: the number of complete `rounds`; `timings`; `ratios` of our time to that of the fastest form of
        each other package, with their `spread` over the rounds; the machine's `limits`; and the cases that were
        `skipped`. A form of ours also has a ratio to our plain one.

    Example:

    >>> from keras_convnext.benchmarking import Case, compare
    >>> cases = [
    ...     Case(package, "torch", "", "forward", "convnext_atto", batch=8, size=64, dtype="float32", device="cpu")
    ...     for package in ("keras_convnext", "timm")
    ... ]
    >>> result = compare(cases, rounds=3, progress=print)  # doctest: +SKIP
    >>> [row["ratio"] for row in result["ratios"]]  # doctest: +SKIP
    [0.98]
    """
    timings, failures = time_in_turn(cases, rounds, progress)
    measured = {timing.case: timing for timing in timings}
    models = [timing for timing in timings if timing.case.package not in LIMITS]
    products = [timing for timing in timings if timing.case.package == "matrix product"]
    copies = [timing.median for timing in timings if timing.case.package == "copy"]
    peak = max((2 * MATRIX_SIDES[one.case.device] ** 3 / one.median for one in products), default=None)
    return {
        "rounds": len(timings[0].seconds) if timings else 0,
        "timings": [timing_facts(timing, peak) for timing in models],
        "ratios": [
            _ratio_facts(ours, other)
            for ours in models
            if ours.case.package == OURS
            for other in [*_plain_of(measured, ours.case), *_fastest_of_each(measured, ours.case)]
        ],
        "limits": {"gflops": peak / 1e9, "copy_gbytes": 2 * COPY_BYTES / min(copies) / 1e9} if peak and copies else {},
        "skipped": [{"package": str(case), "why": why} for case, why in failures.items()],
    }


def _ratio_facts(ours, other):
    of_rounds = ratios(ours, other)
    return {
        "ours": str(ours.case),
        "other": str(other.case),
        "ratio": statistics.median(of_rounds),
        "spread": spread_of(of_rounds),
        "round_ratios": of_rounds,
    }


def timing_facts(timing: Timing, peak: float | None = None) -> dict:
    """Turns a `Timing` into a dict for JSON.

    Args:
        timing: the `Timing` of a model.
        peak: operations per second of the machine's fastest matrix product. Defaults to None: unknown.
    """
    case = timing.case
    flops = 2 * macs(case) * case.batch * PASSES[case.task]
    return {
        "name": str(case),
        **asdict(case),
        "macs": macs(case),
        "milliseconds": 1e3 * timing.median,
        "spread": timing.spread,
        "images_per_second": case.batch / timing.median,
        "share_of_peak": peak and flops / timing.median / peak,
        "peak_bytes": timing.peak_bytes,
        "loopback_bytes": timing.loopback_bytes,
        "start_seconds": timing.start_seconds,
        "round_milliseconds": [1e3 * seconds for seconds in timing.seconds],
    }


def _plain_of(measured, case):
    """The timing of our plain form beside another form of ours."""
    plain = measured.get(replace(case, form=""))
    return [plain] if case.form and plain else []


def _fastest_of_each(measured, ours):
    """The fastest form of each other package: on our backend for a Keras package, and in the same runtime, if any."""
    fastest = {}
    for case, timing in measured.items():
        if case.package in (OURS, *LIMITS) or runtime_of(case) != runtime_of(ours):
            continue
        if case.backend != ours.backend and PACKAGES[case.package].backend is None:
            continue
        if case.package not in fastest or timing.median < fastest[case.package].median:
            fastest[case.package] = timing
    return list(fastest.values())
