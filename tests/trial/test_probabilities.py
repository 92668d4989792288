import numpy as np
import pytest

from trial.probabilities import MIN_PROBABILITY, SUM_TOLERANCE, log_given, not_probabilities, tempered

EACH = np.array([[0.7, 0.3, 0.0], [0.2, 0.3, 0.5]], np.float32)


def test_the_logarithm_of_what_each_photos_class_got_is_finite():
    assert log_given(EACH, np.array([0, 2])) == pytest.approx(np.log([0.7, 0.5]))
    assert log_given(EACH, np.array([2, 0])) == pytest.approx(np.log([MIN_PROBABILITY, 0.2]))


def test_a_temperature_divides_logits_and_one_leaves_probabilities_as_they_are():
    assert tempered(EACH, 1) is EACH
    root = EACH[1] ** 0.5
    assert tempered(EACH, 2.0)[1] == pytest.approx(root / root.sum())


def test_rows_that_are_no_probabilities():
    some = np.array([
        [0.5, 0.5], [0.5, 0.5 + SUM_TOLERANCE / 2], [0.5, 0.5 + 2 * SUM_TOLERANCE], [1.0005, -0.0005],
        [np.nan, 1], [np.inf, 0],
    ])  # fmt: skip
    assert not_probabilities(some).tolist() == [False, False, True, True, True, True]
