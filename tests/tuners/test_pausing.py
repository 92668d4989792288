"""A search that pauses trials and goes on with them, as NNI's dispatcher plays it, without NNI's manager."""

import json

import pytest

nni = pytest.importorskip("nni")
from nni.assessor import AssessResult  # noqa: E402
from optuna.trial import TrialState  # noqa: E402

from tests.tuners.fake_nni import FakeNNI  # noqa: E402
from tuners.chosen import read_chosen  # noqa: E402
from tuners.errors import UsageError  # noqa: E402
from tuners.search import PauseAndGoOn, Search  # noqa: E402
from tuners.study import journal_of  # noqa: E402

SPACE = {
    "x": {"_type": "uniform", "_value": [0, 1]},
    "kind": {"_type": "choice", "_value": ["a", "b"]},
}
FEW = SPACE | {"x": {"_type": "choice", "_value": [0.1, 0.3, 0.5, 0.7, 0.9]}}  # ten recipes: then none is new
ONE_MORE = {"x": {"_type": "choice", "_value": [0.1, 0.3]}, "kind": {"_type": "choice", "_value": ["a"]}}
EPOCHS = 8


def final(point):
    """Half of all recipes are bad, which shows at once."""
    return (0.6 if point["kind"] == "a" else 0.2) - (point["x"] - 0.3) ** 2


class Manager:
    """Runs one trial after the other. A trial that goes on reports its parent's epochs again first, and one
    that is stopped trains an epoch more before its process ends."""

    def __init__(self, fake, space=SPACE, **arguments):
        self.fake, self.space, self.arguments = fake, space, arguments
        self.points: dict[str, dict] = {}
        self.epochs: dict[str, int] = {}  # trained, with those of the parents
        self.asked = 0
        self.start()

    def start(self):
        self.search = Search(seed=1, **self.arguments)
        self.assessor = PauseAndGoOn()
        self.search.update_search_space(self.space)

    def resume(self, **arguments):
        journal_of(self.search.study).close()
        self.arguments |= arguments
        self.start()

    def begin(self):
        number, self.asked = self.asked, self.asked + 1
        point = self.search.generate_parameters(number)
        name = f"t{number}"
        self.points[name] = point
        self.fake.begin(name, number, point)
        run = self.fake.folder / "trials" / name
        run.mkdir()
        (run / "config.json").write_text(json.dumps({"epochs": EPOCHS}))
        self.epochs[name] = 0
        return name

    def train(self, name, until=EPOCHS, hears=True):
        """Whether it was stopped."""
        point = self.points[name]
        first = self.epochs.get(point.get("parent"), 0)
        stopped = False
        for epoch in range(self.epochs[name], until):
            self.fake.report(name, self.score(point, epoch), first=epoch)
            self.epochs[name] = epoch + 1
            if stopped:
                break
            history = [{"default": self.score(point, past)} for past in range(epoch + 1)]
            if hears and self.assessor.assess_trial(name, history) is AssessResult.Bad:
                assert epoch >= first, "it heard of this epoch before"
                stopped = True
        return stopped

    def score(self, point, epoch):
        return final(point) * (epoch + 1) / EPOCHS

    def end(self, name, event):
        self.fake.event(name, event)
        number = int(name[1:])
        if event == "SUCCEEDED":
            self.fake.result(name, final(self.points[name]))
            self.search.receive_trial_result(number, self.points[name], final(self.points[name]))
        self.search.trial_end(number, event == "SUCCEEDED")

    def run(self, count=1):
        for _ in range(count):
            name = self.begin()
            stopped = self.train(name)
            self.end(name, "EARLY_STOPPED" if stopped else "SUCCEEDED")
        return name

    def run_until(self, reached):
        for _ in range(60):
            name = self.run()
            if reached():
                return name
        raise AssertionError(f"not reached: {self.rows()}")

    def rows(self, state=None):
        return [row for row in read_chosen(self.fake.folder) if state in (None, row.state)]


@pytest.fixture
def manager(tmp_path, monkeypatch):
    return Manager(FakeNNI(tmp_path / "abcdefgh", monkeypatch))


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


def test_the_default_is_what_all_are_compared_with_and_goes_to_its_end(tmp_path, monkeypatch):
    manager = Manager(FakeNNI(tmp_path / "abcdefgh", monkeypatch), default={"kind": "b"})
    default, *others = [manager.begin() for _ in range(3)]
    for name in others:
        manager.train(name, hears=False)
        manager.end(name, "SUCCEEDED")
    assert not manager.train(default)


def test_beside_the_default_several_others_begin(tmp_path, monkeypatch):
    """With two trials at a time and 2.5 trainings: two whole ones would leave nothing to choose."""
    manager = Manager(FakeNNI(tmp_path / "abcdefgh", monkeypatch), trainings=2.5)
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


@pytest.mark.parametrize(("space", "trainings"), [(SPACE, 2), (ONE_MORE, None)])
def test_nothing_is_paused_for_nothing(tmp_path, monkeypatch, space, trainings):
    """No trainings are left for another recipe, or there is none."""
    manager = Manager(FakeNNI(tmp_path / "abcdefgh", monkeypatch), space, trainings=trainings)
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


# After a kill


def test_paused_recipes_go_on_after_a_resume(tmp_path, monkeypatch):
    manager = Manager(FakeNNI(tmp_path / "abcdefgh", monkeypatch), FEW)
    manager.run_until(lambda: len(manager.rows("paused")) > 2)
    paused = {row.number for row in manager.rows("paused")}
    manager.resume()
    assert {row.number for row in manager.rows("paused")} == paused
    manager.run_until(lambda: any(row.went_on for row in manager.rows() if row.number in paused))


def going_on(manager):
    """A trial that goes on, just begun."""
    for _ in range(60):
        name = manager.begin()
        if "parent" in manager.points[name]:
            return name
        manager.end(name, "EARLY_STOPPED" if manager.train(name) else "SUCCEEDED")
    raise AssertionError(f"none went on: {manager.rows()}")


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
    for _ in range(60):
        number = manager.asked
        point = manager.search.generate_parameters(number)
        if "parent" in point:
            break
        manager.points[f"t{number}"] = point
        manager.fake.begin(f"t{number}", number, point)
        run = manager.fake.folder / "trials" / f"t{number}"
        run.mkdir()
        (run / "config.json").write_text(json.dumps({"epochs": EPOCHS}))
        manager.epochs[f"t{number}"], manager.asked = 0, number + 1
        manager.end(f"t{number}", "EARLY_STOPPED" if manager.train(f"t{number}") else "SUCCEEDED")
    manager.resume()
    assert manager.search.generate_parameters(0) == point


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


# What it may spend


def spent(manager):
    """Whole trainings' worth of epochs that were trained."""
    first = {name: manager.epochs.get(point.get("parent"), 0) for name, point in manager.points.items()}
    return sum(epochs - first[name] for name, epochs in manager.epochs.items()) / EPOCHS


@pytest.mark.parametrize("trainings", [6, 12])
def test_the_trainings_are_spent_and_what_is_begun_is_finished(tmp_path, monkeypatch, trainings):
    manager = Manager(FakeNNI(tmp_path / "abcdefgh", monkeypatch), trainings=trainings)
    with pytest.raises(nni.NoMoreTrialError, match="the trainings are spent"):
        manager.run(4 * trainings)
    assert trainings - 1 < spent(manager) <= trainings
    last = list(manager.points)[-1]
    assert next(row for row in manager.rows() if row.trial == last).state == "complete"
    manager.resume(trainings=trainings + 2)
    with pytest.raises(nni.NoMoreTrialError):
        manager.run(20)
    assert trainings + 1 < spent(manager) <= trainings + 2


def test_without_pauses_the_trainings_are_the_recipes(tmp_path, monkeypatch):
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
    from tuners.reports import Reported

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
    assert 3600 <= now < 3700, "the hours are used, and the last training is a short one"
    assert all(size == "small" for time, size in begun[3:] if time > 3000)


def test_hours_go_on_after_a_resume(tmp_path, monkeypatch):
    manager = Manager(FakeNNI(tmp_path / "abcdefgh", monkeypatch), hours=1)
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


@pytest.mark.parametrize("name", ["trainings", "hours"])
@pytest.mark.parametrize("value", [0, -1, "2", True, float("nan"), float("inf")])
def test_budgets_that_cannot_be(name, value):
    with pytest.raises(UsageError, match=f"{name}: .* is not a number above 0"):
        Search(**{name: value})


def test_it_needs_the_process_to_compare_recipes(monkeypatch):
    Search(sampler="tpe")
    with pytest.raises(UsageError, match="works with the sampler gaussian_process, not tpe"):
        PauseAndGoOn()
    monkeypatch.setattr(Search, "latest", None)
    with pytest.raises(UsageError, match="works with the tuner"):
        PauseAndGoOn()


def interrupt(manager, name, epochs):
    """The system ends the trial after these epochs, and NNI calls it failed."""
    manager.train(name, until=epochs, hears=False)
    (manager.fake.folder / "trials" / name / "status.json").write_text('{"state": "interrupted"}')
    manager.end(name, "FAILED")


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
