"""Replays against small tables whose course is computed by hand."""

import math

import nni
import numpy as np
import pytest
from nni.algorithms.hpo.random_tuner import RandomTuner
from nni.assessor import Assessor, AssessResult
from nni.tuner import Tuner

from benchmarks.search import generated
from benchmarks.search.earlier import DefaultFirstTPE, MedianOfFinished
from benchmarks.search.rivals import METHODS
from benchmarks.search.simulate import PARENT, Lookup, Replay, Trial, play
from benchmarks.search.table import Curves
from tuners.spaces.space import Space

nan = math.nan
SPACE = {"x": {"_type": "uniform", "_value": [0, 10]}}


def curves(scores, seconds, space=SPACE, points=None) -> Curves:
    """`seconds`: of every epoch of each recipe; recipe n is at x=n."""
    scores = np.array(scores, float)
    points = points or tuple({"x": float(recipe)} for recipe in range(len(scores)))
    seconds = np.repeat(np.array(seconds, float)[:, None], scores.shape[1], 1)
    return Curves("small", space, tuple(points), scores, seconds, scores, 0)


class InOrder(Tuner):
    """Suggests the given points; keeps what it is told."""

    def __init__(self, *points):
        self.points, self.told = list(points), []

    def update_search_space(self, search_space):
        self.told.append(("space", search_space))

    def generate_parameters(self, parameter_id, **kwargs):
        self.told.append(("ask", parameter_id))
        if not self.points:
            raise nni.NoMoreTrialError
        point = self.points.pop(0)
        return point if isinstance(point, dict) else {"x": float(point)}

    def receive_trial_result(self, parameter_id, parameters, value, **kwargs):
        self.told.append(("result", parameter_id, parameters["x"], value, kwargs["trial_job_id"]))

    def trial_end(self, parameter_id, success, **kwargs):
        self.told.append(("end", parameter_id, success))


class StopAt(Assessor):
    """Stops the trials in `epochs` ({name: epoch}) there; keeps what it hears, in the tuner's list if it has one."""

    def __init__(self, epochs, heard=None):
        self.epochs, self.heard = epochs, [] if heard is None else heard

    def assess_trial(self, trial_job_id, trial_history):
        self.heard.append((trial_job_id, [value["default"] for value in trial_history]))
        stop = self.epochs.get(trial_job_id) == len(trial_history)
        return AssessResult.Bad if stop else AssessResult.Good

    def trial_end(self, trial_job_id, success):
        self.heard.append(("assessor's end", trial_job_id, success))


def test_one_worker_pays_for_every_epoch_and_reports_the_best_one():
    table = curves([[0.1, 0.5, 0.4], [0.2, 0.3, 0.6]], [10, 7])
    tuner = InOrder(0, 1)
    replay = play(table, tuner)
    assert replay.trials == (
        Trial(0, 0, 0, 3, 0.0, 30.0, "finished"),
        Trial(1, 1, 0, 3, 30.0, 51.0, "finished"),
    )
    assert tuner.told == [
        ("space", SPACE),
        ("ask", 0), ("result", 0, 0.0, 0.5, "0"), ("end", 0, True),
        ("ask", 1), ("result", 1, 1.0, 0.6, "1"), ("end", 1, True),
        ("ask", 2),
    ]  # fmt: skip
    assert replay.best == [(30.0, 0), (51.0, 1)]
    assert replay.spent(40.0) == 40.0
    assert table.compute == 51.0


def test_calls_come_in_the_order_of_nnis_dispatcher():
    tuner = InOrder(0)
    play(curves([[0.1, 0.2]], [1]), tuner, StopAt({}, tuner.told))
    assert tuner.told[2:-1] == [
        ("0", [0.1]), ("0", [0.1, 0.2]),
        ("result", 0, 0.0, 0.2, "0"), ("assessor's end", "0", True), ("end", 0, True),
    ]  # fmt: skip


def test_two_workers_run_side_by_side_and_the_next_trial_starts_at_the_first_end():
    #  worker 1: recipe 0, 0 to 6; recipe 2, 6 to 10
    #  worker 2: recipe 1, 0 to 8; recipe 3, 8 to 18
    table = curves([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3], [0.4, 0.4]], [3, 4, 2, 5])
    tuner = InOrder(0, 1, 2, 3)
    replay = play(table, tuner, workers=2)
    assert [(trial.number, trial.start, trial.end) for trial in replay.trials] == [
        (0, 0, 6), (1, 0, 8), (2, 6, 10), (3, 8, 18),
    ]  # fmt: skip
    assert [one[:2] for one in tuner.told if one[0] == "ask"] == [("ask", n) for n in (0, 1, 2, 3, 4)]
    assert replay.spent(7) == 14
    assert replay.spent(12) == 22  # one worker has nothing left from 10 on
    assert replay.best == [(12, 0), (16, 1), (20, 2), (28, 3)]
    assert replay.spent(18) == table.compute == 28


def test_of_two_reports_at_the_same_time_the_earlier_trials_is_first():
    table = curves([[0.1, 0.2], [0.3, 0.4]], [5, 5])
    assessor = StopAt({})
    replay = play(table, InOrder(1, 0), assessor, workers=2)
    assert [one[0] for one in assessor.heard] == ["0", "1", "0", "assessor's end", "1", "assessor's end"]
    assert [trial.number for trial in replay.trials] == [0, 1]
    assert [trial.recipe for trial in replay.trials] == [1, 0]


def test_a_stopped_trial_ends_at_that_epoch_without_a_result():
    table = curves([[0.1, 0.2, 0.9], [0.5, 0.5, 0.5]], [10, 10])
    tuner, assessor = InOrder(0, 1), StopAt({"0": 2})
    replay = play(table, tuner, assessor)
    assert replay.trials[0] == Trial(0, 0, 0, 2, 0.0, 20.0, "stopped")
    assert ("end", 0, False) in tuner.told
    assert not [one for one in tuner.told if one[:2] == ("result", 0)]
    assert assessor.heard[:3] == [("0", [0.1]), ("0", [0.1, 0.2]), ("assessor's end", "0", False)]
    assert replay.best == [(50.0, 1)]
    assert replay.stopped() == {0}


def test_a_stop_at_the_last_epoch_comes_too_late():
    tuner = InOrder(0)
    replay = play(curves([[0.1, 0.2]], [1]), tuner, StopAt({"0": 2}))
    assert replay.trials[0].outcome == "finished"
    assert ("result", 0, 0.0, 0.2, "0") in tuner.told


def test_a_failing_trial_costs_the_epoch_it_fails_in_and_reports_nothing_of_it():
    table = curves([[0.4, nan, nan], [nan, nan, nan], [0.1, 0.2, 0.3]], [10, 5, 1])
    tuner, assessor = InOrder(0, 1, 2), StopAt({})
    replay = play(table, tuner, assessor)
    assert [(one.epochs, one.end, one.outcome) for one in replay.trials] == [
        (2, 20.0, "failed"), (1, 25.0, "failed"), (3, 28.0, "finished"),
    ]  # fmt: skip
    assert [one for one in tuner.told if one[0] == "end"] == [
        ("end", 0, False),
        ("end", 1, False),
        ("end", 2, True),
    ]
    # NNI tells the end only of trials of which the assessor heard.
    assert assessor.heard[:2] == [("0", [0.4]), ("assessor's end", "0", False)]
    assert ("assessor's end", "1", False) not in assessor.heard
    assert table.compute == 28.0
    assert table.final.tolist() == [-math.inf, -math.inf, 0.3]
    assert replay.best == [(28.0, 2)]


def test_a_point_that_was_not_recorded_gets_the_nearest_recipe_that_no_trial_has_had():
    table = curves([[0.1], [0.2], [0.3]], [1, 1, 1])
    replay = play(table, InOrder(1.4, 1.4, 1.4, 1.4))
    assert [trial.recipe for trial in replay.trials] == [1, 2, 0]


def test_the_tuner_is_told_its_own_suggestion():
    tuner = InOrder(1.4)
    play(curves([[0.1], [0.2]], [1, 1]), tuner)
    assert ("result", 0, 1.4, 0.2, "0") in tuner.told


def test_candidates_are_offered_only_if_wanted():
    class Takes(InOrder):
        given = None

        def candidates(self, points):
            self.given = points

    table = curves([[0.1], [0.2]], [1, 1])
    offered, kept = Takes(0), Takes(0)
    play(table, offered)
    play(table, kept, offer_candidates=False)
    assert offered.given == table.points
    assert kept.given is None


def test_a_trial_goes_on_where_its_parent_was_stopped():
    table = curves([[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.5, 0.5]], [10, 1])
    tuner, assessor = InOrder(0, 1, {"x": 0.0, PARENT: "0"}), StopAt({"0": 2, "2": 3})
    replay = play(table, tuner, assessor)
    assert replay.trials[2] == Trial(2, 0, 2, 3, 24.0, 34.0, "stopped")
    assert ("2", [0.1, 0.2, 0.3]) in assessor.heard
    assert replay.stopped() == {0}
    on = play(table, InOrder(0, 1, {"x": 0.0, PARENT: "0"}), StopAt({"0": 2}))
    assert on.trials[2].outcome == "finished"
    assert on.stopped() == set()
    # 20 for two epochs of recipe 0, 4 for recipe 1; the rest of 0 begins at 24.
    assert [on.stopped(compute) for compute in (19, 20, 24, 25)] == [set(), {0}, {0}, set()]
    assert on.best == [(24.0, 1)]


@pytest.mark.parametrize("parent", ["1", "0"])
def test_a_parent_that_runs_or_went_on_already_is_refused(parent):
    table = curves([[0.1, 0.2], [0.1, 0.2]], [1, 1])
    again = {"x": 0.0, PARENT: "0"}
    points = (0, again, again) if parent == "0" else (0, {"x": 0.0, PARENT: "1"})
    with pytest.raises(KeyError):
        play(table, InOrder(*points), StopAt({"0": 1}))


def test_the_number_of_trials_is_kept():
    table = curves([[0.1], [0.2], [0.3]], [1, 1, 1])
    assert len(play(table, InOrder(0, 1, 2), trials=2).trials) == 2
    assert len(play(table, InOrder(0, 1, 2), trials=2, workers=3).trials) == 2


def test_a_replay_is_cut_when_the_compute_is_spent():
    table = curves([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]], [3, 4, 5])
    replay = play(table, InOrder(0, 1, 2), workers=2, compute=13)
    # 0 and 1 run side by side until 6 (12 spent), then 2 and 1: another second is spent at 6.5.
    assert replay.trials == (
        Trial(0, 0, 0, 2, 0.0, 6.0, "finished"),
        Trial(1, 1, 0, 1, 0.0, 6.5, "running"),
        Trial(2, 2, 0, 0, 6.0, 6.5, "running"),
    )
    assert replay.spent(math.inf) == 13


def test_a_replay_goes_on_beyond_its_compute_until_the_score_is_reached():
    table = curves([[0.1], [0.2], [0.9], [0.3]], [1, 1, 1, 1])
    assert len(play(table, InOrder(0, 1, 2, 3), compute=1, reach=0.8).trials) == 4  # the fourth runs
    assert play(table, InOrder(0, 1, 2, 3), compute=1, reach=0.8).trials[3].outcome == "running"


NESTED = {
    "loss": {"_type": "choice", "_value": [
        {"_name": "plain"}, {"_name": "focal", "gamma": {"_type": "uniform", "_value": [1, 3]}}]},
    "rate": {"_type": "loguniform", "_value": [0.0001, 0.01]},
    "batch": {"_type": "choice", "_value": [16, 32, 64]},
}  # fmt: skip


def test_distances_of_mixed_and_nested_parameters():
    space = Space(NESTED)
    points = [
        {"loss": {"_name": "focal", "gamma": 1.5}, "rate": 0.001, "batch": 16},
        {"loss": {"_name": "plain"}, "rate": 0.001, "batch": 16},
        {"loss": {"_name": "focal", "gamma": 2.5}, "rate": 0.01, "batch": 32},
    ]
    lookup = Lookup(space, [space.params(point) for point in points])
    # other option and no gamma: 2; gamma half its range, rate half its decades, batch one of two steps: 1.5
    assert lookup.distances(lookup.params[0]) == pytest.approx([0, 2, 1.5])
    assert lookup.distances(lookup.params[1]) == pytest.approx([2, 0, 3])


def test_nnis_own_classes_play_and_the_same_seed_plays_the_same():
    rng = np.random.default_rng(0)
    table = curves(rng.random((8, 4)).cumsum(1) / 4, rng.uniform(1, 5, 8))

    def once(seed) -> Replay:
        tuner = DefaultFirstTPE(seed=seed, tpe_args={"n_startup_jobs": 2})
        return play(table, tuner, MedianOfFinished(start_epoch=2, min_finished=2), workers=2)

    assert once(1).trials == once(1).trials
    assert once(1).trials != once(2).trials
    assert len(once(1).trials) == 8
    assert {"stopped", "finished"} == {trial.outcome for trial in once(1).trials}


def test_earlier_results_are_imported_before_the_first_suggestion():
    class Imports(InOrder):
        def import_data(self, data):
            self.told.append(("import", data))

    table = curves([[0.1], [0.2]], [1, 1])
    tuner = Imports(1)
    play(table, tuner, imported=[({"x": 0.0}, 0.7)])
    assert tuner.told[1:3] == [("import", [{"parameter": {"x": 0.0}, "value": 0.7}]), ("ask", 0)]
    # NNI's own class takes them: after an import it does not begin with the default.
    first = play(table, DefaultFirstTPE(seed=3), imported=[({"x": 0.0}, 0.7)], trials=1).trials[0].recipe
    assert first == play(table, RandomTuner(seed=3), trials=1).trials[0].recipe


def test_a_tuner_with_a_clock_sees_the_simulated_time():
    class Clocked(InOrder):
        clock = None

        def trial_end(self, parameter_id, success, **kwargs):
            self.told.append(("at", self.clock()))

    tuner = Clocked(0, 1)
    play(curves([[0.1, 0.2], [0.3, 0.4]], [10, 7]), tuner, workers=2)
    assert [one for one in tuner.told if one[0] == "at"] == [("at", 14.0), ("at", 20.0)]


@pytest.mark.slow
def test_what_nni_loads_plays_and_hears_of_every_trial_as_what_it_was():
    """The search and its assessor: each trial is told to the study once, with its curve and seconds."""
    curves = generated.generate("crossing", 1, recipes=60)
    tuner, assessor = METHODS["Gaussian process, cannot win"](curves, 0, 2)
    replay = play(curves, tuner, assessor, workers=2)
    names = {"finished": "COMPLETE", "stopped": "PRUNED", "failed": "FAIL"}
    told = {trial.number: trial for trial in tuner.study.trials if "repeats" not in trial.user_attrs}
    assert len(told) == len(replay.trials) == 60
    for trial in replay.trials:
        heard = told[trial.number]
        assert heard.state.name == names[trial.outcome]
        assert len(heard.intermediate_values) == trial.epochs - (trial.outcome == "failed")
        if trial.outcome != "failed" or trial.epochs > 1:
            assert heard.user_attrs["seconds"] == pytest.approx(trial.end - trial.start)
    assert {"finished", "stopped", "failed"} == {trial.outcome for trial in replay.trials}
