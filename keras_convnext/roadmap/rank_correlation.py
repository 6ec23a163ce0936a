"""Spearman's rank correlation with a confidence interval: whether two lists of accuracies order the steps alike."""

import statistics
from collections.abc import Sequence

import numpy as np

FEWEST_PAIRS = 4
"""The smallest number of pairs for which the confidence interval exists."""


def rank_correlation(
    ours: Sequence[float], theirs: Sequence[float], confidence: float = 0.95
) -> tuple[float, tuple[float, float]]:
    """Computes Spearman's rank correlation and its confidence interval (Bonett and Wright, Psychometrika 65, 2000).

    Args:
        ours: four numbers or more.
        theirs: as many.
        confidence: in (0, 1), the level of the interval. Defaults to 0.95.

    Returns:
        `(correlation, (low, high))`. All three are NaN if all numbers of one side are equal.

    Raises:
        ValueError: There are fewer than four pairs.

    Example:

    >>> from keras_convnext.roadmap.rank_correlation import rank_correlation
    >>> rank_correlation([1, 2, 3, 4, 5], [1, 2, 4, 3, 5])[0]
    0.9
    """
    if len(ours) != len(theirs) or len(ours) < FEWEST_PAIRS:
        raise ValueError(f"Expected four pairs or more. Received: {len(ours)} and {len(theirs)} numbers")
    first, second = (_ranks(np.asarray(numbers, "float64")) for numbers in (ours, theirs))
    if first.std() == 0 or second.std() == 0:
        return float("nan"), (float("nan"), float("nan"))
    correlation = float(np.corrcoef(first, second)[0, 1])
    quantile = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    half = quantile * np.sqrt((1 + correlation**2 / 2) / (len(first) - 3))
    centre = np.arctanh(np.clip(correlation, -1 + 1e-12, 1 - 1e-12))
    return round(correlation, 12), (float(np.tanh(centre - half)), float(np.tanh(centre + half)))


def _ranks(numbers):
    """Ranks from 1 up; equal numbers get the mean of their ranks."""
    ranks = np.empty(len(numbers))
    ranks[np.argsort(numbers, kind="stable")] = np.arange(1, len(numbers) + 1)
    for number in np.unique(numbers):
        ranks[numbers == number] = ranks[numbers == number].mean()
    return ranks
