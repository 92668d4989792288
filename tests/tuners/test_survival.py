"""The search and NNI's database: trials as what they were, kills, a journal that is damaged or in use."""

import json
import subprocess
import sys

import pytest

from common.machine import PROJECT
from tuners.errors import UsageError
from tuners.spaces.default_point import default_point

nni = pytest.importorskip("nni")

from tests.tuners.read_back import read_back  # noqa: E402
from tests.tuners.searching import (  # noqa: E402
    FLAT,
    SPACE,
    again,
    approximately,
    chosen_by,
    played,
    release,
    search,
    states,
)
from tuners import study as study_module  # noqa: E402
from tuners.chosen import JOURNAL  # noqa: E402
from tuners.model.sampler import SECONDS  # noqa: E402
from tuners.search import Search  # noqa: E402


def test_every_trial_is_told_as_what_it_was(fake):
    made = search()
    points = made.generate_multiple_parameters(range(5))
    for i, point in enumerate(points):
        fake.begin(f"t{i}", i, point)
        fake.report(f"t{i}", 0.1, 0.2 + i / 10)
    fake.result("t0", 0.25)
    made.receive_trial_result(0, points[0], 0.25)
    made.trial_end(0, True)
    for i, event in ((1, "EARLY_STOPPED"), (2, "FAILED"), (3, "USER_CANCELED")):
        fake.event(f"t{i}", event)
        made.trial_end(i, False)
        made.trial_end(i, False)
    assert states(made)[:5] == ["COMPLETE", "PRUNED", "FAIL", "PRUNED", "RUNNING"]
    trials = made.study.trials
    assert trials[1].intermediate_values == {0: 0.1, 1: pytest.approx(0.3)}
    assert trials[0].intermediate_values == {0: 0.1, 1: 0.2}
    assert 0.4 < trials[0].user_attrs[SECONDS] < 60
    rows = read_back(fake.folder)
    assert [row.trial for row in rows[:4]] == ["t0", "t1", "t2", "t3"]
    assert [row.state for row in rows[:5]] == ["complete", "pruned", "fail", "pruned", "running"]
    assert rows[3].why == "stopped by a person"
    made.generate_parameters(5)
    assert read_back(fake.folder)[4].trial == "t4", "known while it runs"
    assert rows[0].score == 0.25


def test_a_trial_that_was_done_when_it_was_stopped_is_finished(fake):
    made = search()
    point = made.generate_parameters(0)
    fake.begin("t0", 0, point)
    (fake.folder / "trials" / "t0").mkdir()
    (fake.folder / "trials" / "t0" / "status.json").write_text(json.dumps({"state": "done", "score": 0.6}))
    fake.event("t0", "EARLY_STOPPED")
    made.trial_end(0, False)
    assert made.study.trials[0].value == 0.6


def test_after_a_kill_trials_are_reconciled_with_nni(fake):
    made = search()
    points = made.generate_multiple_parameters(range(6))
    for i in range(5):  # the sixth never reached NNI's manager
        fake.begin(f"t{i}", i, points[i])
        fake.report(f"t{i}", 0.2, 0.3)
    fake.result("t0", 0.3)
    fake.event("t0", "SUCCEEDED")
    fake.event("t1", "FAILED")
    fake.event("t2", "EARLY_STOPPED")
    fake.event("t3", "ADD_RESUMED")  # NNI runs it again; t4 ran when all was killed
    resumed = again(made)
    assert states(resumed)[:6] == ["COMPLETE", "FAIL", "PRUNED", "RUNNING", "RUNNING", "RUNNING"]
    # NNI's ids begin again after the highest that it took up
    assert resumed.generate_parameters(5) == points[5], "chosen, but never begun: handed out again"
    new = resumed.generate_parameters(6)
    assert new not in points
    assert resumed.study.trials[5].user_attrs["parameter_id"] == 5
    # Of trials that it took up, NNI tells results as imported data, and nothing else.
    fake.report("t3", 0.25, 0.35)
    fake.result("t3", 0.35)
    resumed.import_data([{"parameter": points[3], "value": 0.35}])
    resumed.import_data([{"parameter": points[3], "value": 0.35}])
    fake.event("t4", "FAILED")
    resumed.generate_parameters(7)
    assert states(resumed)[:6] == ["COMPLETE", "FAIL", "PRUNED", "COMPLETE", "FAIL", "RUNNING"]
    assert resumed.study.trials[3].intermediate_values == {0: 0.25, 1: 0.35}, "the second run's curve"
    assert len(resumed.study.trials) == 8


def test_ids_that_nni_hands_out_again_are_not_mixed_up(fake):
    """After a resume without trials taken up, its ids begin again with 1."""
    made = search()
    points = made.generate_multiple_parameters(range(2))
    for i in range(2):
        fake.begin(f"t{i}", i, points[i])
        fake.result(f"t{i}", 0.1)
        fake.event(f"t{i}", "SUCCEEDED")
        made.receive_trial_result(i, points[i], 0.1)
        made.trial_end(i, True)
    resumed = again(made)
    resumed.import_data([{"parameter": point, "value": 0.1} for point in points])
    point = resumed.generate_parameters(1)
    assert point not in points
    fake.begin("t9", 1, point)
    fake.result("t9", 0.9)
    resumed.receive_trial_result(1, point, 0.9)
    assert [trial.value for trial in resumed.study.trials] == [0.1, 0.1, 0.9]


@pytest.mark.parametrize("name", ["gaussian_process", "tpe", "random"])
def test_a_resumed_search_goes_on_as_if_it_had_not_ended(fake, name):
    made = search(sampler=name)
    before = played(made, 6)
    after = played(again(made, sampler=name), 4, start=6)
    assert not [point for point in after if point in before]
    if name == "gaussian_process":
        release(Search.latest.study)
        for path in (fake.folder / JOURNAL,):
            path.unlink()
        assert played(search(sampler=name), 10) == before + after


@pytest.mark.slow
def test_a_killed_process_leaves_a_journal_that_goes_on(fake):
    """kill -9 in the middle of a suggestion: a trial without its values, and half a line."""
    script = (
        "import json, os, sys\n"
        "from tuners.search import Search\n"
        "made = Search()\n"
        f"made.update_search_space(json.loads({json.dumps(json.dumps(SPACE))}))\n"
        "made.receive_trial_result(0, made.generate_parameters(0), .5)\n"
        "made.study.ask()\n"
        "print('ready', flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True)
    assert done.stdout == "ready\n", done.stderr
    with (fake.folder / JOURNAL).open("ab") as file:
        file.write(b'{"op_code":5,"worker')
    made = search()
    assert states(made) == ["COMPLETE", "FAIL"]
    assert len(played(made, 3, start=1)) == 3
    assert states(made) == ["COMPLETE", "FAIL", *["COMPLETE"] * 3]


def test_a_default_whose_choice_was_cut_short_is_asked_again(fake):
    made = search(first=[{"model": "c"}])
    made.study.ask()
    resumed = again(made)
    points = resumed.generate_multiple_parameters(range(2))
    assert approximately(default_point(SPACE)) in points
    assert set(chosen_by(resumed)) == {"default", "first", None}
    assert states(resumed) == ["FAIL", "RUNNING", "RUNNING"]


def test_a_journal_that_another_process_writes(fake, monkeypatch):
    monkeypatch.setattr(study_module, "WAIT_SECONDS", 0.3)
    made = search()
    with pytest.raises(UsageError, match=r"^\S*study\.journal: another process searches with it"):
        search()
    release(made.study)
    search()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: "{}\n" + text, "is damaged"),
        (lambda text: "no JSON\n" + text, "line 1 is not JSON"),
        (lambda text: text.replace('"op_code":4', '"op_code":44'), "is damaged"),
    ],
)
def test_a_damaged_journal(fake, damage, message):
    made = search()
    made.generate_parameters(0)
    release(made.study)
    journal = fake.folder / JOURNAL
    journal.write_text(damage(journal.read_text()))
    with pytest.raises(UsageError, match=message) as raised:
        search()
    assert "\n" not in str(raised.value)


def test_a_journal_that_cannot_be_written(fake):
    (fake.folder / JOURNAL).mkdir()
    with pytest.raises(UsageError, match=r"study\.journal: can't be written: Is a directory"):
        search()


def test_the_study_of_another_space(fake):
    made = search()
    made.generate_parameters(0)
    with pytest.raises(
        UsageError, match=r"another search space \(momentum, model, loss, ... differ\)|differ"
    ):
        again(made, FLAT)


def test_a_space_that_is_changed_on_nnis_page_is_not_taken(caplog):
    made = search()
    made.update_search_space(FLAT)
    assert "ignored" in caplog.text
    assert made.generate_parameters(0).keys() == SPACE.keys()
