"""What a search may still spend, and what is worth training with it."""

import math

import numpy as np
import pytest

nni = pytest.importorskip("nni")

from tests.tuners.manager import SPACE, Manager, spent  # noqa: E402
from tuners.budget import Remaining  # noqa: E402
from tuners.errors import UsageError  # noqa: E402
from tuners.model.sampler import Option  # noqa: E402
from tuners.reports import Reported  # noqa: E402
from tuners.search import Search  # noqa: E402


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
        (Remaining(seconds=11), 3),
        (Remaining(seconds=9), "nothing"),
        (Remaining(trainings=0.8, seconds=11), 3),
        (Remaining(seconds=0), "nothing"),
    ],
)
def test_the_best_that_can_still_be_finished(remaining, best):
    """Of those that are predicted to be late, the one that takes the least, unless it is far too late."""
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


# Searches


@pytest.mark.parametrize("trainings", [6, 12])
def test_the_trainings_are_spent_and_what_is_begun_is_finished(fake, trainings):
    manager = Manager(fake, trainings=trainings)
    with pytest.raises(nni.NoMoreTrialError, match="the trainings are spent"):
        manager.run(4 * trainings)
    assert trainings - 1 < spent(manager) <= trainings
    last = list(manager.points)[-1]
    assert next(row for row in manager.rows() if row.trial == last).state == "complete"
    manager.resume(trainings=trainings + 2)
    with pytest.raises(nni.NoMoreTrialError):
        manager.run(20)
    assert trainings + 1 < spent(manager) <= trainings + 2


def test_without_pauses_the_trainings_are_the_recipes():
    search = Search(trainings=3)
    search.update_search_space(SPACE)
    points = search.generate_multiple_parameters(range(5))
    assert len(points) == 3
    for number in range(2):
        search.receive_trial_result(number, points[number], 0.5)
    search.trial_end(2, False)  # a failure counts a quarter: it may have failed at once
    with pytest.raises(nni.NoMoreTrialError):
        search.generate_parameters(5)


def test_at_the_end_of_the_hours_only_what_fits_is_begun():
    """Trainings take 600 s with the one option and 100 s with the other."""
    space = {"size": {"_type": "choice", "_value": ["large", "small"]}, "x": SPACE["x"]}
    search = Search(hours=1)
    now = 0.0
    search.clock = lambda: now
    search.update_search_space(space)
    begun = []
    for number in range(40):
        try:
            point = search.generate_parameters(number)
        except nni.NoMoreTrialError:
            break
        begun.append((now, point["size"]))
        seconds = 600 if point["size"] == "large" else 100
        now += seconds
        search.reported = lambda *_, seconds=seconds: Reported("t", "SUCCEEDED", (0.5,), seconds=seconds)
        search.receive_trial_result(number, point, 0.5 + 0.1 * (point["size"] == "large"))
        search.trial_end(number, True)
    assert 3530 <= now < 3670, "the hours are used, and the last training is a short one"
    assert all(size == "small" for time, size in begun[3:] if time > 3000)


def test_what_cannot_end_in_the_hours_is_not_begun():
    search = Search(hours=1)
    now = 0.0
    search.clock = lambda: now
    search.update_search_space({"x": SPACE["x"]})
    search.reported = lambda *_: Reported("t", "SUCCEEDED", (0.5,), seconds=600)
    for number in range(4):
        search.receive_trial_result(number, search.generate_parameters(number), 0.5 + 0.01 * number)
    now = 3400.0
    with pytest.raises(nni.NoMoreTrialError, match="nearly over: no training can end in time"):
        search.generate_parameters(4)
    now = 3250.0
    search.generate_parameters(4)  # a prediction may be wrong


def test_hours_go_on_after_a_resume(fake):
    manager = Manager(fake, hours=1)
    now = 0.0
    manager.search.clock = lambda: now
    manager.search._searched = (0.0, 0.0)
    now = 3000.0
    manager.run()
    manager.resume()
    assert manager.search._seconds() == pytest.approx(3000, abs=5), "the time in between does not count"
    manager.search._searched = (3601.0, manager.search.clock())
    with pytest.raises(nni.NoMoreTrialError, match="the hours are over"):
        manager.run()


def test_hours_given_later_count_from_the_first_trial_on(fake):
    """`resume --trials` takes the hours away, and `resume --hours` gives more than those of all starts."""
    manager = Manager(fake)
    now = 0.0
    manager.search.clock = lambda: now
    manager.search._searched = (0.0, 0.0)
    now = 3000.0
    manager.run()
    manager.resume(hours=1)
    assert manager.search.planner.remaining().seconds == pytest.approx(600, abs=5)


@pytest.mark.parametrize("name", ["trainings", "hours"])
@pytest.mark.parametrize("value", [0, -1, "2", True, float("nan"), float("inf")])
def test_budgets_that_cannot_be(name, value):
    with pytest.raises(UsageError, match=f"{name}: .* is not a number above 0"):
        Search(**{name: value})
