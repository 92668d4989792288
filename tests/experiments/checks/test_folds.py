"""An assessor of folds is refused where trials report epochs, and where it could never stop one."""

import inspect
import json

import pytest

from common.machine import PROJECT
from experiments.check import check
from experiments.checks.folds import ASSESSOR, FOLDS
from tests.experiments.conftest import errors, give

pytest.importorskip("nni")


def assessor(**arguments):
    return {"className": ASSESSOR, "codeDirectory": str(PROJECT), "classArgs": arguments}


def by_folds(mine, words="fold=all fold_order=one_by_one"):
    mine.change("epochs=2", f"epochs=2 {words}")
    return mine


def test_its_name_and_default_are_those_of_the_class():
    from tuners.folds import WorseOnFolds

    assert f"{WorseOnFolds.__module__}.{WorseOnFolds.__name__}" == ASSESSOR
    assert inspect.signature(WorseOnFolds).parameters["folds"].default == FOLDS


@pytest.mark.parametrize(
    ("words", "arguments"),
    [("", {}), ("folds=5", {"p": 0.13}), ("folds=10", {"folds": 10, "p": 0.05})],
)
def test_what_passes(mine, fast, words, arguments):
    by_folds(mine, f"fold=all fold_order=one_by_one {words}")
    check(give(mine, assessor=assessor(**arguments)))


@pytest.mark.parametrize(
    ("words", "now"),
    [
        ("seed=1", "fold=0 fold_order=lockstep"),
        ("fold=all", "fold=all fold_order=lockstep"),
        ("fold=2", "fold=2 fold_order=lockstep"),
    ],
)
def test_trials_that_report_epochs(mine, fast, words, now):
    (error,) = errors(give(by_folds(mine, words), assessor=assessor()))
    assert error == (
        "assessor: tuners.folds.WorseOnFolds is for trials that report their folds, not their epochs: write "
        f"fold=all fold_order=one_by_one in trialCommand (now {now}), or take tuners.search.CannotWin"
    )


def test_an_order_that_is_searched(mine, fast):
    mine.space.write_text(
        json.dumps({"fold_order": {"_type": "choice", "_value": ["one_by_one", "lockstep"]}})
    )
    (error,) = errors(give(by_folds(mine, "fold=all"), assessor=assessor()))
    assert "(now fold=all fold_order=lockstep)" in error


def test_another_number_of_folds(mine, fast):
    path = give(by_folds(mine), assessor=assessor())
    assert errors(path, settings=["folds=10"]) == ["assessor.classArgs.folds: 5, but trials have folds=10"]


def test_what_could_never_stop_a_trial(mine, fast):
    (error,) = errors(give(by_folds(mine), assessor=assessor(p=0.05)))
    assert error == (
        "assessor: p: 0.05 can't stop a trial before its last fold: after 4 of 5 folds the smallest possible p "
        "is 0.0625; give p above 0.0625, or folds of at least 6, here and in trialCommand"
    )


def test_it_needs_the_search(mine, fast):
    (error,) = errors(give(by_folds(mine), tuner={"name": "Random"}, assessor=assessor()))
    assert error == "assessor: WorseOnFolds works with the tuner tuners.search.Search only"
