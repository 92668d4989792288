"""What more groups to train on gain, against curves whose next point is known."""

import numpy as np
import pytest

from analysis.trust.answers import count
from analysis.trust.growth import gain, grown
from analysis.trust.leaders import OF_TRIAL, promised_words


def answered(*right: int, photos: int = 1000):
    """The counts of two recipes, on groups of one photo of two classes, with this number right."""
    labels = np.arange(photos) % 2
    given = np.stack([np.where(np.arange(photos) < number, labels, 1 - labels) for number in right], 1)
    return count(labels, given, np.arange(photos).astype(str), 2)


def test_the_error_falls_again_by_the_ratio_that_was_seen():
    found = gain(answered(680, 600), "accuracy", power=1)
    assert found.value == pytest.approx(0.32 * (1 - 0.32 / 0.4), abs=1e-6), ".4, .32, .256"
    quarter = gain(answered(680, 600), "accuracy", power=np.log(1.25) / np.log(2))
    assert quarter.value == pytest.approx(0.32 * (1 - 0.8**0.321928), abs=1e-6)
    assert 0 < found.low < found.value < found.high
    assert gain(answered(600, 680), "accuracy", power=1).value < 0, "it learns nothing by more"


def test_a_log_loss_is_an_error_itself():
    counts = count(np.zeros(50, int), np.zeros((50, 2), int), np.arange(50).astype(str), 2)
    log = -np.linspace(0.1, 0.9, 50)[:, None] * [0.5, 1]
    found = gain(type(counts)(counts.truth, counts.given, counts.hits, log), "log_loss", power=1)
    assert found.value == pytest.approx(0.25 * 0.5)


@pytest.mark.parametrize("right", [(1000, 1000), (1000, 600), (990, 1000)])
def test_without_an_error_nothing_more_is_gained(right):
    found = gain(answered(*right), "accuracy", power=1)
    assert found.value == 0 and np.isfinite([found.low, found.high]).all()


def test_a_promise_grows_within_the_metrics_bounds_and_keeps_that_of_the_trial():
    promise = {"accuracy": 0.97, "low": 0.9, "high": 0.99, "chosen_from": 3, "corrected_by": 0.01}
    curve = {
        "trained_on": {"smaller": 120, "trial": 240, "all": 300},
        "scores": {"smaller": 0.6, "trial": 0.68},
    }
    found = grown(promise, gain(answered(680, 600), "accuracy", power=1), "accuracy", curve)
    assert found["accuracy"] == found["high"] == 1 and 0.9 < found["low"] < 0.97
    assert found[OF_TRIAL] == promise and found["learning_curve"]["gain"] == 0.064
    assert promised_words(found, "accuracy", "people") == (
        f"accuracy 1.000 ({found['low']:.3f} to 1.000) on new people, trained on all 300, by the learning curve: "
        "0.600 with 120 people, 0.680 with the trial's 240; the trial promises "
        + promised_words(promise, "accuracy", "people")
    )
    lowered = promised_words(found | {"lowered_by": 0.02, "lowered_for": "--tta flip"}, "accuracy", "people")
    assert "240, less 0.020 that --tta flip loses on validation people; the trial promises" in lowered
