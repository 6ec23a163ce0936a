"""The path in miniature: what is summarized, and the rank correlation against scipy's."""

import numpy as np
import pytest
from scipy import stats

from keras_convnext.training import roadmap as experiment
from keras_convnext.training.roadmap import rank_correlation, summarize


@pytest.mark.parametrize("ties", [False, True])
def test_rank_correlation_is_scipys(rng, ties):
    ours, theirs = rng.normal(size=16), rng.normal(size=16)
    if ties:
        ours, theirs = ours.round(), theirs.round()
    correlation, (low, high) = rank_correlation(ours, theirs)
    assert correlation == pytest.approx(stats.spearmanr(ours, theirs).statistic)
    assert low < correlation < high


def test_the_interval_holds_what_it_says(rng):
    """Of normal pairs with a known rank correlation 95 % of the intervals have it, to three deviations."""
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


def test_summary_has_the_papers_accuracy_beside():
    steps = experiment.STEPS[:4]
    results = summarize(
        {step: [(0.5 + 0.1 * n, 100.0), (0.6 + 0.1 * n, 300.0)] for n, step in enumerate(steps)}, "resnet50"
    )
    row = results["steps"][0]
    assert (row["mean"], row["top1"], row["images_per_second"]) == (pytest.approx(0.55), 78.82, 200.0)
    assert row["deviation"] == pytest.approx(0.1 / np.sqrt(2))
    assert results["rank_correlation"] == rank_correlation(range(4), [78.82, 79.36, 79.51, 78.28])[0]
    assert summarize({steps[0]: [(0.5, 1.0)]}, "resnet50")["rank_correlation"] is None
    equal = summarize({step: [(0.1, 1.0)] for step in steps}, "resnet50")
    assert (equal["rank_correlation"], equal["interval"]) == (None, None), "chance says nothing"
