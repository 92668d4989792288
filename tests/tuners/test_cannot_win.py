"""The assessor that stops only what can't win."""

import math

import numpy as np
import pytest

from tests.tuners.read_back import read_back
from tuners.errors import UsageError
from tuners.model.bound import Bound

nni = pytest.importorskip("nni")

from tests.tuners.searching import (  # noqa: E402
    search,
)
from tuners.search import CannotWin, Search  # noqa: E402


def finished(made, curves):
    for number, curve in enumerate(curves, len(made.study.trials) - 1):
        point = made.generate_parameters(number)
        made.reported = lambda *_, curve=curve: study_report(curve)
        made.receive_trial_result(number, point, max(curve))
        made.trial_end(number, True)
        made.reported = lambda *_: None


def study_report(curve, trial="", event=""):
    from tuners.reports import Reported

    return Reported(trial, event, tuple(curve))


RISING = [[share * (0.1 + 0.05 * i) for share in (0.2, 0.5, 0.8, 1)] for i in range(10)]


def test_it_stops_only_what_cannot_win():
    from nni.assessor import AssessResult

    made = search(sampler="random")
    assessor = CannotWin(min_finished=8, z=3)
    finished(made, RISING[:7])
    assert assessor.assess_trial("a", [{"default": 0.0}, {"default": 0.01}]) is AssessResult.Good, (
        "too few have finished"
    )
    finished(made, RISING[7:])
    assert assessor.assess_trial("a", [{"default": 0.0}]) is AssessResult.Good, "too early"
    assert assessor.assess_trial("b", [0.11, 0.27]) is AssessResult.Good, "as good as the best so far"
    assert assessor.assess_trial("c", [0.0, 0.01, 0.02, 0.03]) is AssessResult.Good, "nothing left to save"
    assert assessor.assess_trial("d", [0.0, math.nan]) is AssessResult.Good
    assert assessor.assess_trial("a", [0.0, 0.01]) is AssessResult.Bad
    assert assessor.assess_trial("a", [0.0, 0.01, 0.02]) is AssessResult.Good, "it is told once"


def test_one_finished_training_that_diverged_does_not_keep_all_going():
    """A log loss has no lower end: its curve would be all that the prediction sees."""
    rng = np.random.default_rng(0)

    def rising(final):
        return [final - 1.5 * (1 - epoch / 8) + 0.01 * rng.standard_normal() for epoch in range(1, 9)]

    curves = [[-2.0 * 3**epoch for epoch in range(8)], *map(rising, np.linspace(-0.8, -0.5, 14))]
    hopeless, finals = rising(-3.0), [curve[-1] for curve in curves]
    assert Bound().reason(hopeless[:2], curves, finals).startswith("can't win after epoch 2")
    assert not Bound().reason(rising(-0.5)[:2], curves, finals)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"margin": "5e-3"}, "margin: '5e-3' is not a number of at least 0"),  # YAML takes 5e-3 for a text
        ({"z": -1.0}, "z: -1.0 is not a number of at least 0"),
        ({"min_finished": "1e1"}, "min_finished: '1e1' is not an integer of at least 1"),
        ({"min_finished": 0, "start_epoch": 1.5}, "min_finished: 0 is not an integer of at least 1; start_epoch: 1.5"),
    ],
)  # fmt: skip
def test_arguments_that_would_end_the_search_hours_later_are_refused(arguments, said):
    search(sampler="random")
    with pytest.raises(UsageError) as caught:
        CannotWin(**arguments)
    assert str(caught.value).startswith(said)


def test_why_a_trial_was_stopped_is_kept(fake):
    made = search(sampler="random")
    assessor = CannotWin(min_finished=8, z=3)
    finished(made, RISING)
    made.reported = made._from_nni
    point = made.generate_parameters(50)
    fake.begin("t50", 50, point)
    fake.report("t50", 0.0, 0.01)
    assessor.assess_trial("t50", [0.0, 0.01])
    fake.event("t50", "EARLY_STOPPED")
    assessor.trial_end("t50", False)
    made.trial_end(50, False)
    row = next(row for row in read_back(fake.folder) if row.trial == "t50")
    assert row.state == "pruned"
    assert row.epochs == 2
    assert row.why.startswith("can't win after epoch 2: predicted 0.")
    assert row.chosen_by == "random"


def test_it_needs_a_search(monkeypatch):
    monkeypatch.setattr(Search, "latest", None)
    with pytest.raises(UsageError, match="works with the tuner"):
        CannotWin()
