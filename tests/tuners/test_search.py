"""The search as NNI's dispatcher uses it, without NNI's manager."""

import json
import math
import subprocess
import sys
import threading
import time

import pytest

from common.machine import PROJECT, shipped
from tuners.errors import UsageError
from tuners.spaces.default_point import default_point

nni = pytest.importorskip("nni")
from optuna.trial import TrialState  # noqa: E402

from tests.tuners.fake_nni import FakeNNI  # noqa: E402
from tests.tuners.read_back import read_back  # noqa: E402
from tuners import study as study_module  # noqa: E402
from tuners.chosen import JOURNAL  # noqa: E402
from tuners.model.sampler import SECONDS  # noqa: E402
from tuners.samplers import SAMPLERS  # noqa: E402
from tuners.search import CannotWin, Search  # noqa: E402
from tuners.study import journal_of  # noqa: E402

SPACE = {
    "model": {"_type": "choice", "_value": ["a", "b", "c"]},
    "lr": {"_type": "loguniform", "_value": [0.0001, 0.01]},
    "loss": {
        "_type": "choice",
        "_value": [{"_name": "focal", "gamma": {"_type": "uniform", "_value": [1, 3]}}, {"_name": "plain"}],
    },
}
CHOICES = {"model": SPACE["model"], "size": {"_type": "choice", "_value": [32, 64]}}
FLAT = {"lr": SPACE["lr"], "momentum": {"_type": "uniform", "_value": [0, 1]}}


@pytest.fixture(autouse=True)
def outside(monkeypatch):
    """Not in the dispatcher of an experiment, unless the test makes one."""
    monkeypatch.delenv("NNI_LOG_DIRECTORY", raising=False)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    return FakeNNI(tmp_path / "abcdefgh", monkeypatch)


def search(space=SPACE, **arguments):
    made = Search(**arguments)
    made.update_search_space(space)
    return made


def release(study):
    journal_of(study).close()


def again(made, space=SPACE, **arguments):
    """The search as after the end of its process."""
    release(made.study)
    return search(space, **arguments)


def states(made):
    return [trial.state.name for trial in made.study.get_trials(deepcopy=False)]


def chosen_by(made):
    return [trial.user_attrs.get("chosen_by") for trial in made.study.get_trials(deepcopy=False)]


def approximately(point):
    return {**point, "lr": pytest.approx(point["lr"])}


def played(made, count, start=0):
    points = []
    for i in range(start, start + count):
        points.append(made.generate_parameters(i))
        made.receive_trial_result(i, points[-1], {"default": -abs(math.log(points[-1]["lr"] / 0.003))})
        made.trial_end(i, True)
    return points


# What it suggests


@pytest.mark.parametrize("name", ["gaussian_process", "tpe", "random"])
def test_the_default_comes_first_and_once(name):
    made = search(sampler=name)
    points = made.generate_multiple_parameters([0, 1, 2])
    assert points[0] == approximately(default_point(SPACE))
    assert approximately(points[0]) not in points[1:]
    assert chosen_by(made)[0] == "default"
    assert "default" not in chosen_by(made)[1:]


def test_a_stated_default_is_used():
    assert search(default={"model": "c"}).generate_parameters(0)["model"] == "c"


@pytest.mark.parametrize("name", ["gaussian_process", "tpe", "random", "cma_es", "optuna_gp"])
def test_same_seed_same_search(name):
    one, two, three = (played(search(FLAT, sampler=name, seed=seed), 14) for seed in (1, 1, 2))
    assert one == two
    assert one != three


def test_most_recipes_are_chosen_by_the_model():
    made = search()
    played(made, 12)
    assert chosen_by(made) == ["default", *["start-up"] * 2, *["model"] * 9]


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name not in ("cma_es", "optuna_gp")])
def test_no_recipe_is_measured_twice_and_a_space_ends(name):
    made = search(CHOICES, sampler=name)
    points = made.generate_multiple_parameters(range(20))
    assert len(points) == len({json.dumps(point) for point in points}) == 6
    for i, point in enumerate(points):
        made.receive_trial_result(i, point, 0.5)
    with pytest.raises(nni.NoMoreTrialError):
        made.generate_parameters(20)


def test_it_learns_from_results():
    points = played(search(), 25)
    assert sum(abs(math.log(point["lr"] / 0.003)) < 0.3 for point in points[10:]) > 8


@pytest.mark.parametrize("path", shipped("search_spaces", "*.json"), ids=lambda path: path.stem)
def test_every_shipped_space(path):
    space = json.loads(path.read_text())
    made = search(space)
    points = made.generate_multiple_parameters(range(5))
    for i, point in enumerate(points):
        made.receive_trial_result(i, point, 0.1 * i)
    assert len(points) == 5 or all(one["_type"] == "choice" for one in space.values())
    assert json.loads(nni.dump(points)) == points


# What it is told


def test_a_result_after_the_trials_end_is_learnt_from():
    made = search()
    points = made.generate_multiple_parameters([0, 1])
    made.trial_end(0, True)
    assert states(made)[:2] == ["RUNNING", "RUNNING"]
    made.receive_trial_result(0, points[0], {"default": 0.5})
    assert states(made)[:2] == ["COMPLETE", "RUNNING"]
    assert made.study.trials[0].value == 0.5


def test_a_second_result_counts_once(caplog):
    made = search()
    point = made.generate_parameters(0)
    for score in (0.5, 0.4):
        made.receive_trial_result(0, point, score)
    made.trial_end(0, True)
    assert made.study.trials[0].value == 0.5
    assert "second result" in caplog.text


@pytest.mark.parametrize("value", [math.nan, math.inf, {"accuracy": 0.5}, "0.5", None, True])
def test_a_result_without_a_score_is_a_failure_and_ends_nothing(value):
    made = search()
    point = made.generate_parameters(0)
    made.receive_trial_result(0, point, value)
    made.trial_end(0, True)
    assert states(made)[0] == "FAIL"
    assert made.generate_parameters(1)


def test_what_it_did_not_suggest_ends_nothing():
    made = search()
    made.receive_trial_result(7, {}, 0.5)
    made.trial_end(7, True)
    made.trial_end(7, False)


def test_a_failed_trial_is_a_failure_and_its_recipe_is_not_tried_again():
    made = search(CHOICES)
    for i in range(6):
        made.generate_parameters(i)
        made.trial_end(i, False)
        made.trial_end(i, False)
    assert states(made) == ["FAIL"] * 6
    with pytest.raises(nni.NoMoreTrialError):
        made.generate_parameters(6)


def test_ends_and_results_come_from_two_threads():
    """As NNI's dispatcher has it: trial ends in one thread, results and requests in another."""
    made = search(sampler="random")
    points = made.generate_multiple_parameters(range(200))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        ends = threading.Thread(target=lambda: [made.trial_end(i, True) for i in range(200)])
        ends.start()
        for i in range(60):
            made.receive_trial_result(i, points[i], i / 60)
            made.generate_parameters(200 + i)
        ends.join()
    finally:
        sys.setswitchinterval(before)
    assert states(made).count("COMPLETE") == 60
    assert states(made).count("RUNNING") == 200


def test_a_trial_that_ends_without_a_result_does_not_run_for_ever(monkeypatch):
    made = search()
    made.generate_parameters(0)
    made.trial_end(0, True)
    made.generate_parameters(1)
    assert states(made)[0] == "RUNNING"
    now = time.monotonic()
    monkeypatch.setattr("tuners.search.time.monotonic", lambda: now + 60)
    made.generate_parameters(2)
    assert states(made)[0] == "FAIL"


def test_imported_results_are_learnt_once_and_only_if_they_fit(caplog):
    made = search()
    point = {"model": "b", "lr": 0.002, "loss": {"_name": "plain"}}
    data = [
        {"parameter": point, "value": {"default": 0.7}},
        {"parameter": point, "value": {"default": 0.7}},
        {"parameter": {**point, "lr": 1.0}, "value": 0.9},
        {"parameter": point | {"model": "a"}, "value": None},
    ]
    made.import_data(data)
    trials = [trial for trial in made.study.trials if trial.state == TrialState.COMPLETE]
    assert [trial.value for trial in trials] == [0.7]
    assert "1 is not from 0.0001 to 0.01" in caplog.text


def test_an_imported_default_is_not_measured_again():
    made = search()
    made.import_data([{"parameter": default_point(SPACE), "value": {"default": 0.4}}])
    assert made.generate_parameters(7) != approximately(default_point(SPACE))


# NNI's database


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


# Known good recipes


def test_known_good_recipes_come_right_after_the_default(tmp_path, caplog, monkeypatch):
    good = {
        "about": "",
        "recipe": {"model": "b", "lr": 0.002, "loss": {"_name": "focal", "gamma": 1.5}, "epochs": 9},
    }
    wide = {"recipe": {"model": "z", "lr": 1.0}}
    for name, content in (("good", good), ("wide", wide)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    monkeypatch.setattr("tuners.spaces.recipes.PROJECT", tmp_path)
    made = search(first=["good.json", "wide.json", {"model": "c"}, {"model": "a"}])
    points = made.generate_multiple_parameters(range(4))
    assert points[1] == {"model": "b", "lr": 0.002, "loss": {"_name": "focal", "gamma": 1.5}}
    assert points[2] == approximately(default_point(SPACE) | {"model": "c"})
    assert chosen_by(made) == ["default", "first", "first", "start-up"], (
        "a point that is the default is not repeated"
    )
    assert "wide.json is not tried" in caplog.text
    assert "model: 'z' is not an option" in caplog.text
    assert "lr: 1 is not from 0.0001 to 0.01" in caplog.text


def test_a_resumed_search_asks_known_good_recipes_that_are_left(fake):
    made = search(first=[{"model": "b"}, {"model": "c"}])
    played(made, 2)
    assert again(made, first=[{"model": "b"}, {"model": "c"}]).generate_parameters(2)["model"] == "c"


def test_recipes_of_the_project_fit_spaces_that_have_them():
    recipe = json.loads((PROJECT / "recipes" / "baseline_resnet34.json").read_text())["recipe"]
    steps = [{"_name": "flip", "p": 0.3}]
    space = {
        "model": {"_type": "choice", "_value": [{"_name": "resnet18"}, {
            "_name": "resnet34.tv_in1k", "batch_size": {"_type": "choice", "_value": [32, 64]}}]},
        "optimizer": {"_type": "choice", "_value": ["adamw", "adam"]},
        "loss": {"_type": "choice", "_value": [{
            "_name": "weighted", "class_weights": {"_type": "choice", "_value": ["inverse", "one_minus_frequency"]}}]},
        "augment": {"_type": "choice", "_value": ["none", steps, "baseline"]},
        "head": {"_type": "choice", "_value": ["linear", "factors"]},
    }  # fmt: skip
    made = search(space, first=["recipes/baseline_resnet34.json"])
    _, point = made.generate_multiple_parameters([0, 1])
    assert point["model"] == {"_name": "resnet34.tv_in1k", "batch_size": recipe["batch_size"]}
    assert point["optimizer"] == "adam"
    assert point["loss"] == {"_name": "weighted", "class_weights": "one_minus_frequency"}
    assert point["augment"] == steps
    assert point["head"] == "linear"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sampler": "gausian_process"}, "unknown name 'gausian_process'; did you mean gaussian_process"),
        ({"optimize_mode": "minimize"}, "'minimize': scores are maximized here"),
        (
            {"first": ["recipes/nothing.json"]},
            r"there is no recipes/nothing.json; recipes of the project: .*seed_resnet34",
        ),
        ({"first": ["pyproject.toml"]}, "pyproject.toml is not a recipe"),
        ({"first": [3]}, "3 is neither the path of a recipe nor a mapping"),
        ({"warm_start": ["gone"]}, "gone: there is no experiment"),
        ({"warm_start": ["gone"], "sampler": "tpe"}, "is for the sampler gaussian_process, not for tpe"),
    ],
)
def test_arguments_that_cannot_be(arguments, message):
    with pytest.raises(UsageError, match=message):
        Search(**arguments)


def test_all_wrong_arguments_are_named_at_once():
    with pytest.raises(UsageError) as raised:
        Search(optimize_mode="minimize", sampler="tp", first=["a.json"], warm_start=["b"])
    assert all(word in str(raised.value) for word in ("minimize", "tpe", "a.json", "b:"))


@pytest.mark.parametrize("name", ["optuna_gp", "cma_es"])
def test_samplers_that_cannot_search_nested_choices(name):
    with pytest.raises(UsageError, match=f"sampler {name}: .*loss.focal.gamma.*use gaussian_process"):
        search(sampler=name)


def test_a_default_that_does_not_fit():
    with pytest.raises(UsageError, match="lr: 1 is not from"):
        search(default={"lr": 1.0})


# Earlier experiments


def earlier_experiment(folder, runs):
    for number, (config, score) in enumerate(runs):
        run = folder / "trials" / f"t{number}"
        run.mkdir(parents=True)
        (run / "config.json").write_text(json.dumps(config))
        (run / "status.json").write_text(json.dumps({"state": "done", "score": score}))


@pytest.fixture
def earlier(tmp_path, monkeypatch):
    """Experiments of other spaces and other data, in which model b and a rate of .003 were best."""
    monkeypatch.setattr("tuners.earlier.PROJECT", tmp_path)
    runs = [
        ({"model": model, "lr": lr, "loss": {"_name": "focal", "gamma": 2.0, "more": 1}, "epochs": 3},
         10 * (model == "b") - abs(math.log(lr / 0.003)))
        for model in ("a", "b", "c", "d")
        for lr in (0.0002, 0.001, 0.003, 0.008, 0.5)
    ]  # fmt: skip
    earlier_experiment(tmp_path / "before", runs)
    return tmp_path / "before"


def test_a_warm_start_begins_where_earlier_experiments_were_good(earlier, fake, caplog):
    caplog.set_level("INFO")
    made = search(warm_start=["before"])
    points = played(made, 2)
    assert points[1]["model"] == "b"
    assert 0.001 < points[1]["lr"] < 0.008
    assert chosen_by(made)[1] == "model"
    assert (
        "before: 19 of its 20 finished and 0 of its 0 paused or stopped recipes fit this space, 7 of them but "
        "for one value"
    ) in caplog.text
    assert states(made) == ["COMPLETE"] * 2, "earlier trials are not among the study's"


def test_a_resumed_warm_start_needs_the_earlier_experiment_no_more(earlier, fake):
    made = search(warm_start=["before"])
    played(made, 2)
    release(made.study)
    (earlier / "trials").rename(earlier / "other")
    (earlier / "trials").mkdir()
    (earlier / "trials").rmdir()
    made = search(warm_start=["before"])
    played(made, 1, start=2)
    assert chosen_by(made)[2] == "model"


def test_its_ranks_do_not_hold_against_its_own_results(earlier):
    """Earlier experiments are a prior: with results that say otherwise, the search goes where these are
    good."""
    made = search(warm_start=["before"])
    for i in range(25):
        point = made.generate_parameters(i)
        made.receive_trial_result(
            i, point, 0.5 + 0.3 * (point["model"] == "a") - 0.1 * (point["loss"]["_name"] == "focal")
        )
    last = [trial.params["model"] for trial in made.study.trials[15:]]
    assert last.count("a") >= 7


def test_spaces_that_share_nothing(earlier):
    with pytest.raises(
        UsageError, match=r"shares nothing with the earlier experiments \(before: 0 of its 20"
    ):
        search({"momentum": FLAT["momentum"]}, warm_start=["before"])
    same = {"epochs": {"_type": "choice", "_value": [3, 5]}}
    with pytest.raises(UsageError, match="shares nothing"):
        search(same, warm_start=["before"])


# The assessor


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
