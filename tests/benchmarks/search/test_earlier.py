"""The rival that was every experiment's tuner and assessor before tuners.search."""

import math
import sys
import threading

import pytest

from tuners.spaces.default_point import default_point

pytest.importorskip("nni")

from benchmarks.search.earlier import DefaultFirstTPE, MedianOfFinished, hopeless
from tests.tuners.searching import SPACE, approximately


def tuner(**arguments):
    made = DefaultFirstTPE(**arguments)
    made.update_search_space(SPACE)
    return made


def test_the_default_comes_first_and_once():
    chosen = tuner()
    points = chosen.generate_multiple_parameters([0, 1, 2])
    assert points[0] == approximately(default_point(SPACE))
    assert points[1] != points[0]
    assert points[2] != points[0]


def test_a_space_of_choices_only_never_repeats_the_default():
    made = DefaultFirstTPE()
    made.update_search_space({"model": SPACE["model"]})
    assert {made.generate_parameters(i)["model"] for i in range(3)} == {"a", "b", "c"}


def test_same_seed_same_search():
    def search(seed):
        made, points = tuner(seed=seed, tpe_args={"n_startup_jobs": 3}), []
        for i in range(8):
            points.append(made.generate_parameters(i))
            made.receive_trial_result(i, points[-1], {"default": points[-1]["lr"]})
        return points

    assert search(1) == search(1)
    assert search(1) != search(2)


def test_it_learns_from_the_default_too():
    made = tuner()
    point = made.generate_parameters(0)
    made.receive_trial_result(0, point, {"default": 0.5})
    assert made._history[("model",)][0].loss == -0.5


def test_a_failed_default_is_no_harm():
    made = tuner()
    made.generate_parameters(0)
    made.trial_end(0, False)
    assert made.generate_parameters(1)["model"] in "abc"


def test_a_resumed_search_does_not_repeat_it():
    made = tuner()
    made.import_data([{"parameter": default_point(SPACE), "value": {"default": 0.4}}])
    assert made.generate_parameters(7) != approximately(default_point(SPACE))


def test_a_stated_default_is_used():
    assert tuner(default={"model": "c"}).generate_parameters(0)["model"] == "c"


def test_a_result_after_the_trials_end_is_learnt_from():
    made = tuner()
    points = made.generate_multiple_parameters([0, 1])
    made.trial_end(0, True)
    made.receive_trial_result(0, points[0], {"default": 0.5})
    assert [record.loss for record in made._history[("model",)]] == [-0.5]
    assert list(made._running_params) == [1]


def test_a_second_result_of_a_trial_counts_once():
    made = tuner()
    point = made.generate_parameters(0)
    for score in (0.5, 0.4):
        made.receive_trial_result(0, point, score)
    assert [record.loss for record in made._history[("model",)]] == [-0.5]


@pytest.mark.parametrize("value", [math.nan, math.inf, {"accuracy": 0.5}, "0.5", None])
def test_a_result_without_a_score_is_not_learnt_from_and_ends_nothing(value):
    made = tuner()
    point = made.generate_parameters(0)
    made.receive_trial_result(0, point, value)
    assert not made._history[("model",)]
    made.trial_end(0, False)
    assert made.generate_parameters(1)


def test_ends_and_results_come_from_two_threads():
    """As NNI's dispatcher has it: trial ends in one thread, results and requests in another."""
    made = tuner(tpe_args={"n_startup_jobs": 3})
    points = made.generate_multiple_parameters(range(400))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        ends = threading.Thread(target=lambda: [made.trial_end(i, True) for i in range(400)])
        ends.start()
        for i in range(40):
            made.receive_trial_result(i, points[i], i / 40)
            made.generate_parameters(400 + i)
        ends.join()
    finally:
        sys.setswitchinterval(before)
    assert len(made._history[("model",)]) == 40


GOOD, FAIR, POOR = [0.2, 0.5, 0.7, 0.8], [0.1, 0.3, 0.4, 0.5], [0.1, 0.1, 0.2, 0.2]
FINISHED = [GOOD, FAIR, POOR]


@pytest.mark.parametrize(
    ("curve", "stopped"),
    [
        ([0.05], False),  # before start_epoch
        ([0.1, 0.2], True),
        ([0.1, 0.3], False),  # as good as the median
        ([0.35, 0.1], False),  # its best so far counts
        ([0.1, 0.2, 0.3], True),
        ([0.1, 0.2, 0.3, 0.4], False),  # nothing left to save
        ([0.1] * 9, False),
    ],
)
def test_below_the_median_of_the_finished(curve, stopped):
    assert hopeless(curve, FINISHED) is stopped


def test_needs_enough_finished_trials():
    assert not hopeless([0.0, 0.0], FINISHED[:2])
    assert hopeless([0.0, 0.0], FINISHED[:2], min_finished=2)
    assert not hopeless([0.0, 0.0], [], min_finished=0)
    assert not hopeless([0.0, 0.0], [GOOD, FAIR, []])


def test_margin_and_start():
    assert not hopeless([0.1, 0.25], FINISHED, margin=0.1)
    assert hopeless([0.0], FINISHED, start_epoch=1)
    assert not hopeless([0.0, 0.0, 0.0], FINISHED, start_epoch=4)


def test_known_length_and_shorter_peers():
    assert hopeless([0.1] * 5, FINISHED, epochs=9), "peers that ended earlier count with their best"
    assert not hopeless([0.1] * 2, FINISHED, epochs=2)


def test_the_assessor_learns_from_those_that_ended_well():
    from nni.assessor import AssessResult

    assessor = MedianOfFinished()
    for name, curve in (("a", GOOD), ("b", FAIR), ("failed", GOOD), ("c", POOR)):
        for epoch in range(1, 5):
            history = [{"default": value, "loss": 1.0} for value in curve[:epoch]]
            assert assessor.assess_trial(name, history) is AssessResult.Good
        assessor.trial_end(name, name != "failed")
    assert len(assessor.finished) == 3
    assert assessor.assess_trial("d", [0.1, 0.2]) is AssessResult.Bad
    assessor.trial_end("d", False)
    assert len(assessor.finished) == 3
    assessor.trial_end("never seen", True)
