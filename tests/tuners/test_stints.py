"""After which epochs a training may be paused, and what is worth training next."""

import math

import numpy as np
import pytest

from tuners.model.curves import stint_ends
from tuners.model.sampler import Option
from tuners.stints import Left


@pytest.mark.parametrize(
    ("epochs", "ends"),
    [(1, []), (2, [1]), (3, [1, 2]), (4, [1, 2, 3]), (8, [2, 4, 6]), (10, [3, 5, 8]), (30, [8, 15, 23])],
)
def test_stints_are_quarters(epochs, ends):
    assert stint_ends(epochs) == ends


def option(number, value, left=1.0, seconds=math.nan):
    return Option(number, np.zeros(1), value, left, seconds)


@pytest.mark.parametrize(
    ("left", "best"),
    [
        (Left(), None),
        (Left(trainings=1), None),
        (Left(trainings=0.9), 7),
        (Left(trainings=0.75 - 1e-9), 7),
        (Left(trainings=0.5), 3),
        (Left(trainings=0.2), "nothing"),
        (Left(seconds=100), None),
        (Left(seconds=60), 7),
        (Left(seconds=30), 3),
        (Left(seconds=1), 3),
        (Left(trainings=0.8, seconds=1), 3),
        (Left(seconds=0), "nothing"),
    ],
)
def test_the_best_that_can_still_be_finished(left, best):
    """Of those that are predicted to be late, the one that takes the least."""
    options = [option(None, 3.0, 1.0, 80.0), option(7, 2.0, 0.75, 60.0), option(3, 1.0, 0.25, 20.0)]
    found = left.best(options)
    assert found is None if best == "nothing" else found.number == best


def test_what_takes_nobody_knows_how_long_is_tried():
    assert Left(seconds=10).best([option(None, 1.0)]).number is None
    assert Left().best([]) is None


def test_the_reason_of_a_pause_is_said():
    options = [option(None, 3.0, 1.0, 80.0), option(7, 2.0, 0.75, 60.0), option(3, 1.9, 0.25, 20.0)]
    assert Left().worth_more(options, 7) == "a new recipe is worth 2.7 times as much"
    assert Left().worth_more(options, None) == ""
    assert Left(seconds=30).worth_more(options, 7) == "it would end too late, and recipe 3 sooner"
    assert Left(seconds=60).worth_more(options, 3) == ""
