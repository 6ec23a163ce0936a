"""The spread of a measurement over its rounds, and the warning if it is too wide for the median to mean much."""

import statistics
from collections.abc import Sequence

MAX_SPREAD = 0.1
"""A spread above which a median says little, since another measurement may give a very different one."""


def spread_of(numbers: Sequence[float]) -> float:
    """Computes half the interquartile range divided by the median; 0 for a single number.

    Example:

    >>> from keras_convnext.benchmarking.spread import spread_of
    >>> spread_of([1.0, 1.0, 2.0, 3.0, 3.0])
    0.5
    """
    if len(numbers) < 2:
        return 0.0
    low, median, high = statistics.quantiles(numbers, n=4)
    return (high - low) / 2 / median


def spread_warning(what: str, spread: float, rounds: int) -> str:
    """Warns about a median whose spread over the rounds is wide or unknown.

    Args:
        what: what was measured.
        spread: as `spread_of` computes it.
        rounds: number of rounds.

    Returns:
        The warning, empty where there is nothing to warn about.

    Example:

    >>> from keras_convnext.benchmarking.spread import spread_warning
    >>> print(spread_warning("ours / timm", spread=0.25, rounds=15)[:52])
    ours / timm varies by 25% between rounds: another ru
    >>> spread_warning("ours / timm", spread=0.05, rounds=15)
    ''
    """
    if rounds > 1 and spread <= MAX_SPREAD:
        return ""
    why = f"varies by {spread:.0%} between rounds" if rounds > 1 else "comes from one round, so its spread is unknown"
    return (
        f"{what} {why}: another run may give a very different figure. Measure again with nothing else running on this "
        "machine, and with more --rounds."
    )
