import numpy as np
import pytest
from scipy import stats

from benchmarks.paired import paired

rng = np.random.default_rng(0)


def test_the_interval_is_that_of_the_paired_t_test():
    before, gain = rng.normal(0.4, 0.1, 8), rng.normal(0.02, 0.01, 8)
    found = paired(before + gain, before)
    interval = stats.ttest_rel(before + gain, before).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.mean == pytest.approx(gain.mean())


@pytest.mark.slow
def test_the_minimum_detectable_effect_is_shown_four_times_in_five():
    pairs = 8
    unit = np.array([-1.0, 1.0] * (pairs // 2)) / np.std([-1.0, 1.0] * (pairs // 2), ddof=1)
    effect = paired(unit, np.zeros(pairs)).detectable  # of differences whose scatter is 1
    shown = [paired(rng.normal(effect, 1, pairs), np.zeros(pairs)).low > 0 for _ in range(2000)]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.04)
