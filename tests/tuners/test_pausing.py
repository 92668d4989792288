"""A search that pauses trials and goes on with them, as NNI's dispatcher plays it, without NNI's manager."""

import json

import pytest

nni = pytest.importorskip("nni")
from optuna.trial import TrialState  # noqa: E402

from tests.tuners.manager import EPOCHS, SPACE, Manager, asked_to_go_on, final, spent  # noqa: E402
from tuners.errors import UsageError  # noqa: E402
from tuners.search import PauseAndGoOn, Search  # noqa: E402

ONE_MORE = {"x": {"_type": "choice", "_value": [0.1, 0.3]}, "kind": {"_type": "choice", "_value": ["a"]}}


def of_the_model(manager):
    return [row for row in manager.rows("paused") if row.chosen_by == "model"]


def test_what_is_worth_less_is_paused_and_keeps_its_curve(manager):
    manager.run_until(lambda: of_the_model(manager))
    (row,) = of_the_model(manager)
    trial = manager.search.study.trials[row.number]
    assert trial.state == TrialState.WAITING, "Optuna can go on with it, and shows it as waiting"
    assert row.why.startswith(f"paused after epoch {row.epochs - 1} of 8: a new recipe is worth ")
    assert row.epochs in (3, 5, 7), "the epoch that it trained while it was stopped counts"
    assert list(trial.intermediate_values) == list(range(row.epochs))
    assert manager.rows("complete"), "none before one has finished"
    assert row.went_on == 0
    assert final(manager.points[row.trial]) < max(one.score for one in manager.rows("complete"))


def test_the_default_is_what_all_are_compared_with_and_goes_to_its_end(fake):
    manager = Manager(fake, default={"kind": "b"})
    default, *others = [manager.begin() for _ in range(3)]
    for name in others:
        manager.train(name, hears=False)
        manager.end(name, "SUCCEEDED")
    assert not manager.train(default)


def test_beside_the_default_several_others_begin(fake):
    """With two trials at a time and 2.5 trainings: two whole ones would leave nothing to choose."""
    manager = Manager(fake, trainings=2.5)
    default, first = manager.begin(), manager.begin()
    assert manager.train(first)
    manager.end(first, "EARLY_STOPPED")
    second = manager.begin()
    (row,) = manager.rows("paused")
    assert (row.trial, row.chosen_by, row.epochs) == (first, "start-up", 3)
    assert (
        row.why == "paused after epoch 2 of 8: a first look, since it was chosen to lie far from the others"
    )
    manager.train(default)
    manager.end(default, "SUCCEEDED")
    manager.end(second, "EARLY_STOPPED" if manager.train(second) else "SUCCEEDED")
    with pytest.raises(nni.NoMoreTrialError, match="the trainings are spent"):
        manager.run(10)
    rows = manager.rows()
    assert len(rows) > 2
    assert spent(manager) > 2
    finished = {row.trial for row in rows if row.state == "complete"}
    assert len(finished) == 2, "the default, and the best of the others"


def test_a_trial_that_reports_folds_is_paused_after_one(fake):
    manager = Manager(fake)
    manager.begin()
    name = manager.begin()
    config = {"fold": "all", "fold_order": "one_by_one", "folds": EPOCHS, "epochs": 3}
    (fake.folder / "trials" / name / "config.json").write_text(json.dumps(config))
    assert manager.train(name)
    assert next(row.why for row in manager.rows() if row.trial == name).startswith("paused after fold 2 of 8")


def test_what_is_being_stopped_for_a_pause_or_is_to_go_on_counts_as_paused(manager):
    """A search may end then: nothing has stopped it for good."""

    def of(name):
        return next(row for row in manager.rows() if row.trial == name)

    name = manager.begin()
    while not manager.train(name):
        manager.end(name, "SUCCEEDED")
        name = manager.begin()
    assert (of(name).state, of(name).why[:12]) == ("paused", "paused after")
    manager.end(name, "EARLY_STOPPED")
    goes_on = asked_to_go_on(manager)
    assert of(manager.points[goes_on]["parent"]).state == "paused"
    manager.launch(goes_on)
    manager.ask()
    assert of(goes_on).state == "running"


@pytest.mark.parametrize(("space", "trainings"), [(SPACE, 2), (ONE_MORE, None)])
def test_nothing_is_paused_for_nothing(fake, space, trainings):
    """No trainings are left for another recipe, or there is none."""
    manager = Manager(fake, space, trainings=trainings)
    manager.begin()
    assert not manager.train(manager.begin())


@pytest.mark.slow
def test_the_best_go_to_their_ends_without_a_pause(manager):
    manager.run(25)
    best = max(manager.rows("complete"), key=lambda row: row.score)
    assert best.went_on == 0
    assert best.score > 0.59
    assert len(manager.rows("paused")) > 3


def test_a_paused_recipe_goes_on_when_it_is_worth_most(manager):
    name = manager.run_until(lambda: any(row.went_on for row in manager.rows()))
    point = manager.points[name]
    parent = manager.points[point["parent"]]
    assert {key: value for key, value in point.items() if key != "parent"} == parent
    row = next(row for row in manager.rows() if row.went_on)
    assert row.trial == name, "the trial that has the whole curve"
    assert row.epochs > manager.epochs[point["parent"]]
    trial = manager.search.study.trials[row.number]
    assert trial.user_attrs["parameter_id"] == int(name[1:])
    asked = ((int(point["parent"][1:]), None), (int(name[1:]), point["parent"]))
    both = [manager.search.reported(number, trial.params, parent).seconds for number, parent in asked]
    assert trial.user_attrs["seconds"] == pytest.approx(sum(both)), "of both trials"
    recipes = [tuple(one.params.items()) for one in manager.search.study.trials]
    assert len(recipes) == len(set(recipes)), "a recipe has one trial in the study"


@pytest.mark.slow
def test_every_recipe_is_told_once_and_none_is_lost(manager):
    manager.run(40)
    rows = manager.rows()
    assert {row.state for row in rows} <= {"complete", "paused"}
    assert len(rows) == sum("parent" not in point for point in manager.points.values())
    for row in rows:
        if row.state == "complete":
            assert row.epochs == EPOCHS
            assert row.score == pytest.approx(final(manager.points[row.trial]))
            assert row.why == ""
    assert len(manager.search.study.trials) == len(rows)


def test_it_needs_the_process_to_compare_recipes(monkeypatch):
    Search(sampler="tpe")
    with pytest.raises(UsageError, match="works with the sampler gaussian_process, not tpe"):
        PauseAndGoOn()
    monkeypatch.setattr(Search, "latest", None)
    with pytest.raises(UsageError, match="works with the tuner"):
        PauseAndGoOn()
