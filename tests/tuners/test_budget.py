"""What a search may still spend, and what is worth training with it."""

import math

import numpy as np
import pytest

from tuners.budget import Remaining
from tuners.model.sampler import Option


def option(number, value, left=1.0, seconds=math.nan):
    return Option(number, np.zeros(1), value, left, seconds)


@pytest.mark.parametrize(
    ("remaining", "best"),
    [
        (Remaining(), None),
        (Remaining(trainings=1), None),
        (Remaining(trainings=0.9), 7),
        (Remaining(trainings=0.75 - 1e-9), 7),
        (Remaining(trainings=0.5), 3),
        (Remaining(trainings=0.2), "nothing"),
        (Remaining(seconds=100), None),
        (Remaining(seconds=60), 7),
        (Remaining(seconds=30), 3),
        (Remaining(seconds=1), 3),
        (Remaining(trainings=0.8, seconds=1), 3),
        (Remaining(seconds=0), "nothing"),
    ],
)
def test_the_best_that_can_still_be_finished(remaining, best):
    """Of those that are predicted to be late, the one that takes the least."""
    options = [option(None, 3.0, 1.0, 80.0), option(7, 2.0, 0.75, 60.0), option(3, 1.0, 0.25, 20.0)]
    found = remaining.best(options)
    assert found is None if best == "nothing" else found.number == best


def test_what_takes_nobody_knows_how_long_is_tried():
    assert Remaining(seconds=10).best([option(None, 1.0)]).number is None
    assert Remaining().best([]) is None


def test_the_reason_of_a_pause_is_said():
    options = [option(None, 3.0, 1.0, 80.0), option(7, 2.0, 0.75, 60.0), option(3, 1.9, 0.25, 20.0)]
    assert Remaining().worth_more(options, 7) == "a new recipe is worth 2.7 times as much"
    assert Remaining().worth_more(options, None) == ""
    assert Remaining(seconds=30).worth_more(options, 7) == "it would end too late, and recipe 3 sooner"
    assert Remaining(seconds=60).worth_more(options, 3) == ""
