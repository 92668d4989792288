"""A search that pauses trials, after a kill or a resume, and when its trials are ended from outside."""

from collections import Counter
from contextlib import suppress

import pytest

nni = pytest.importorskip("nni")

from tests.tuners.manager import (  # noqa: E402
    EPOCHS,
    SPACE,
    Manager,
    asked_to_go_on,
    final,
    going_on,
    interrupt,
)

FEW = SPACE | {"x": {"_type": "choice", "_value": [0.1, 0.3, 0.5, 0.7, 0.9]}}  # ten recipes: then none is new


def test_paused_recipes_go_on_after_a_resume(fake):
    manager = Manager(fake, FEW)
    manager.run_until(lambda: len(manager.rows("paused")) > 2)
    paused = {row.number for row in manager.rows("paused")}
    manager.resume()
    assert {row.number for row in manager.rows("paused")} == paused
    manager.run_until(lambda: any(row.went_on for row in manager.rows() if row.number in paused))


def test_one_that_went_on_when_all_died_is_told_once(manager):
    """NNI runs it again under its id, and does not tell the tuner of it."""
    name = going_on(manager)
    manager.train(name, until=6, hears=False)
    manager.resume()
    (running,) = manager.rows("running")
    manager.fake.event(name, "ADD_RESUMED")
    manager.fake.report(name, *[manager.score(manager.points[name], epoch) for epoch in range(EPOCHS)])
    manager.fake.event(name, "SUCCEEDED")
    manager.fake.result(name, final(manager.points[name]))
    manager.search.import_data([{"parameter": manager.points[name], "value": final(manager.points[name])}])
    row = manager.rows()[running.number]
    assert (row.state, row.trial, row.epochs, row.went_on) == ("complete", name, EPOCHS, 1)
    manager.run(3)
    assert len({row.number for row in manager.rows()}) == len(manager.rows())


def test_one_that_was_to_go_on_and_never_began_is_handed_out_again(manager):
    name = asked_to_go_on(manager)
    manager.resume()
    assert manager.search.generate_parameters(0) == manager.points[name]


def test_ids_that_nni_hands_out_again_are_not_mixed_up(manager):
    """After a resume the recipe goes on under the parameter id that it had before."""
    name = manager.run_until(lambda: manager.rows("paused"))
    manager.resume()
    number = manager.rows("paused")[0].number
    trial = manager.search.trials.go_on(number)
    manager.search.trials.begin(trial, int(name[1:]))
    trial = manager.search.study.trials[number]
    assert manager.search.trials.known(trial) is None, "the trial of this id has no parent"


def test_what_nni_cancels_at_the_end_of_an_experiment_is_paused(manager):
    manager.run(1)
    name = manager.begin()
    manager.train(name, until=3, hears=False)
    manager.end(name, "SYS_CANCELED")
    row = manager.rows()[-1]
    assert (row.state, row.epochs, row.why) == ("paused", 3, "stopped by NNI")


@pytest.mark.parametrize(("event", "state"), [("USER_CANCELED", "pruned"), ("FAILED", "fail")])
def test_other_ends_are_for_good(manager, event, state):
    name = going_on(manager)
    manager.train(name, until=7, hears=False)
    manager.end(name, event)
    row = next(row for row in manager.rows() if row.trial == name)
    assert (row.state, row.epochs) == (state, 7)


def test_a_trial_that_finished_when_it_was_to_be_paused_is_finished(manager):
    manager.run_until(lambda: manager.rows("paused"))
    (row,) = manager.rows("paused")
    manager.search.receive_trial_result(row.parameter_id, manager.points[row.trial], 0.5)
    row = manager.rows()[row.number]
    assert (row.state, row.score) == ("complete", 0.5)


def test_an_interrupted_one_is_no_failure_and_is_run_again(manager):
    manager.run(2)
    name = manager.begin()
    interrupt(manager, name, 3)
    (row,) = (row for row in manager.rows("paused") if row.trial == name)
    assert (row.epochs, row.why) == (3, "interrupted")
    manager.fake.event(name, "WAITING")  # what `experiments resume` writes
    manager.resume()
    assert [row.trial for row in manager.rows("running")] == [name]
    manager.fake.report(name, *[manager.score(manager.points[name], epoch) for epoch in range(EPOCHS)])
    manager.fake.event(name, "SUCCEEDED")
    manager.fake.result(name, final(manager.points[name]))
    manager.run()
    row = manager.rows()[row.number]
    assert (row.state, row.trial, row.epochs) == ("complete", name, EPOCHS)
    assert len({row.trial for row in manager.rows()}) == len(manager.rows())


def test_one_that_was_interrupted_before_its_first_epoch_is_handed_out_again(manager):
    manager.run(2)
    name = manager.begin()
    interrupt(manager, name, 0)
    assert manager.points[manager.begin()] == manager.points[name]
    assert not manager.rows("fail")


def test_what_was_interrupted_after_its_last_epoch_goes_on_though_no_training_is_left(fake):
    manager = Manager(fake, trainings=4)
    manager.run(3)
    name = manager.begin()
    interrupt(manager, name, EPOCHS)
    while "parent" not in manager.points[again := manager.ask()]:
        manager.launch(again)
        manager.end(again, "EARLY_STOPPED" if manager.train(again) else "SUCCEEDED")
    assert manager.points[again]["parent"] == name


@pytest.mark.parametrize("epochs", [0, 3])
def test_a_recipe_that_is_always_interrupted_has_failed(fake, epochs):
    """Its job is killed for memory, say. Handed out for ever, it would be all of the search."""
    manager = Manager(fake, trainings=3)
    starts = Counter()
    with suppress(nni.NoMoreTrialError):
        for _ in range(60):
            name = manager.begin()
            starts[manager.points[name]["x"]] += 1
            interrupt(manager, name, epochs)
    when = f"after epoch {epochs}" if epochs else "before its first epoch"
    failed = manager.rows("fail")
    assert failed and {row.why for row in failed} == {f"interrupted 3 times {when}"}
    assert max(starts.values()) == 3 and starts.total() < 60


def test_a_paused_recipe_is_finished_if_all_others_failed(fake):
    """The model can't choose between recipes of which only one has a score."""
    manager = Manager(fake, trainings=3)
    manager.end(manager.begin(), "FAILED")  # the default does not fit the GPU, say
    manager.run()
    assert [row.number for row in manager.rows("paused")] == [1]
    with suppress(nni.NoMoreTrialError):
        for _ in range(20):
            name = manager.begin()
            if "parent" in manager.points[name]:
                manager.end(name, "EARLY_STOPPED" if manager.train(name) else "SUCCEEDED")
            else:
                manager.end(name, "FAILED")
    assert (manager.rows()[1].state, manager.rows()[1].epochs) == ("complete", EPOCHS)


@pytest.mark.parametrize("status", ["", '{"state": "running"}'])
def test_a_status_that_another_machine_sends_late_is_waited_for(manager, status):
    """NNI says at once that the trial failed; its run folder, which says why, is copied every few seconds."""
    (manager.fake.folder / "machines.yaml").touch()
    manager.run(2)
    name = manager.begin()
    manager.train(name, until=5, hears=False)
    file = manager.fake.folder / "trials" / name / "status.json"
    file.write_text(status)
    manager.end(name, "FAILED")
    assert manager.rows()[-1].state == "running"
    file.write_text('{"state": "interrupted"}')
    manager.search.trials.settle()
    manager.search._write()
    assert manager.rows()[-1].state == "paused"


def test_one_that_is_handed_out_again_is_not_taken_for_late(manager, monkeypatch):
    (manager.fake.folder / "machines.yaml").touch()
    manager.run(2)
    name = manager.begin()
    status = manager.fake.folder / "trials" / name / "status.json"
    status.write_text('{"state": "running"}')
    manager.end(name, "FAILED")
    status.write_text('{"state": "interrupted"}')
    again = manager.begin()
    assert manager.points[again] == manager.points[name]
    monkeypatch.setattr("tuners.trials.LATE_SECONDS", 0.0)
    manager.search.trials.settle()
    manager.search._write()
    assert manager.rows()[-1].state == "running"


def test_an_interruption_counts_once_however_often_it_is_looked_at(manager):
    manager.run(2)
    interrupt(manager, manager.begin(), 0)
    for _ in range(3):  # NNI's manager dies each time
        manager.resume()
    assert manager.rows()[-1].state == "running"


def test_a_status_that_never_comes_is_a_failure(manager, monkeypatch):
    monkeypatch.setattr("tuners.trials.LATE_SECONDS", 0.0)
    (manager.fake.folder / "machines.yaml").touch()
    manager.run(2)
    name = manager.begin()
    manager.train(name, until=5, hears=False)
    manager.end(name, "FAILED")
    manager.begin()
    assert manager.rows()[-2].state == "fail"
