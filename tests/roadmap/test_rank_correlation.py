"""The rank correlation against scipy's, and how often its interval holds the true value."""

import numpy as np
import pytest
from scipy import stats

from keras_convnext.roadmap.rank_correlation import rank_correlation


@pytest.mark.parametrize("ties", [False, True])
def test_rank_correlation_is_scipys(rng, ties):
    ours, theirs = rng.normal(size=16), rng.normal(size=16)
    if ties:
        ours, theirs = ours.round(), theirs.round()
    correlation, (low, high) = rank_correlation(ours, theirs)
    assert correlation == pytest.approx(stats.spearmanr(ours, theirs).statistic)
    assert low < correlation < high


def test_the_interval_holds_what_it_says(rng):
    """95 % of the intervals contain the known correlation of normal pairs, up to three standard deviations."""
    r, count = 0.6, 600
    true = 6 / np.pi * np.arcsin(r / 2)
    covers = []
    for _ in range(count):
        pairs = rng.multivariate_normal([0, 0], [[1, r], [r, 1]], size=16)
        low, high = rank_correlation(*pairs.T)[1]
        covers.append(low <= true <= high)
    assert np.mean(covers) == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / count))


def test_of_equal_numbers_there_is_none():
    assert np.isnan(rank_correlation([1, 1, 1, 1], [1, 2, 3, 4])[0])


def test_too_few_are_refused():
    with pytest.raises(ValueError, match="four pairs or more"):
        rank_correlation([1, 2, 3], [1, 2, 3])
