"""The interval of a class's recall covers the true one, however alike the photos of a person are."""

import numpy as np
import pytest

from analysis.trust.recalls import recall_intervals


@pytest.mark.parametrize("people", [5, 10, 30, 100])
@pytest.mark.parametrize("recall", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("alike", [0.05, 0.5, 0.9])
def test_intervals_cover_the_true_recall(people, recall, alike):
    """Five photos of each person; 2,000 samples of people whose own recalls vary as `alike` says."""
    random = np.random.default_rng(0)
    ends = recall * (1 - alike) / alike, (1 - recall) * (1 - alike) / alike
    hits = random.binomial(5, random.beta(*ends, (people, 2000)))
    low, high = recall_intervals(np.full(hits.shape, 5), hits)
    assert np.mean((low <= recall) & (recall <= high)) > 0.915
    photos = recall_intervals(np.ones((5 * people, 1)), np.arange(5 * people)[:, None] < 5 * people * recall)
    if people >= 30 and alike >= 0.5:
        assert np.mean(high - low) > 1.4 * (photos[1] - photos[0])[0], "than if photos were independent"


def test_by_hand():
    truth = np.array([[2, 1, 0, 3], [2, 0, 0, 3], [2, 0, 0, 3]])
    hits = np.array([[2, 1, 0, 1], [2, 0, 0, 1], [2, 0, 0, 1]])
    low, high = recall_intervals(truth, hits)
    assert 0 < low[0] < 0.6 and high[0] == 1, "all six photos right, but only three people"
    assert (low[1], high[1]) == (0, 1), "one person says nothing"
    assert np.isnan(low[2]) and np.isnan(high[2])
    assert 0 < low[3] < 1 / 3 < high[3] < 1
