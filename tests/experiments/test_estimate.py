"""The estimate of the remaining time, compared with a recorded search and with plain cases."""

import pytest

from experiments.estimate import Forecast, Trial, Workload, is_rough, workloads_in
from tests.experiments.replay import Replay

SMALL, LARGE = Workload("resnet18", 32 * 32, 10), Workload("resnet18", 64 * 64, 10)


def ended(recipe, seconds):
    return Trial(recipe, True, seconds, seconds, recipe.epochs)


def test_a_recorded_search():
    """From a quarter of its time on, the estimate of the whole duration is within a factor of 1.35; up to the half,
    that of the remaining time is within 1.3. (With the mean of the ended trials: 1.6 and 2.2.)"""
    replay = Replay()
    forecast = replay.forecast()
    for percent in range(25, 96):
        second = percent / 100 * replay.length
        left = replay.left(second, forecast)
        assert 1 / 1.35 < (second + left) / replay.length < 1.35, percent
        if percent <= 50:
            assert 1 / 1.3 < left / (replay.length - second) < 1.3, percent
    assert replay.left(replay.length, forecast) == 0


def test_a_small_recipe_that_ended_first_does_not_stand_for_the_large():
    """Three of four recipes have four times the pixels: (4 + 4 + 4 + 1) / 4 times the first one's seconds."""
    forecast = Forecast([LARGE, LARGE, LARGE, SMALL])
    left = forecast.seconds_left([ended(SMALL, 10.0)], 7, 10.0)
    assert 7 * 10 * 2 < left < 7 * 10 * 3.25


def test_a_network_seen_before_costs_what_it_cost():
    other = Workload("resnet50", 32 * 32, 10)
    trials = [ended(SMALL, 10.0), ended(other, 50.0), Trial(other, False, 10.0, 10.0, 2)]
    assert Forecast([other]).seconds_left(trials, 0, 70.0) == pytest.approx(40)


def test_trials_side_by_side():
    left = Forecast([SMALL], at_a_time=2).seconds_left([ended(SMALL, 10.0)], 4, 10.0)
    assert left == pytest.approx(20, rel=0.1)


def test_a_long_first_epoch_counts_though_it_has_not_ended():
    fresh = Trial(Workload("resnet50", 32 * 32, 10), False, 60.0, 0.0, 0)
    assert Forecast([SMALL]).seconds_left([ended(SMALL, 10.0), fresh], 0, 70.0) > 300


def test_nothing_is_said_before_an_epoch_has_ended_nor_where_there_is_no_end():
    begun = Trial(SMALL, False, 5.0, 0.0, 0)
    assert Forecast([SMALL]).seconds_left([begun], 3, 5.0) is None
    assert Forecast([SMALL]).seconds_left([ended(SMALL, 10.0)], None, 5.0) is None


def test_the_experiments_duration_bounds_it():
    trials = [ended(SMALL, 10.0), Trial(SMALL, False, 5.0, 5.0, 5)]
    assert Forecast([SMALL], limit=100).seconds_left([], 50, 30.0) == 70
    for left in (50, None):
        # Trials begin up to second 100, and the last of them ends a trial later.
        foretold = Forecast([SMALL], limit=100).seconds_left(trials, left, 15.0)
        assert 85 < foretold < 85 + 10
    assert Forecast([SMALL], limit=100).seconds_left(trials, 50, 120.0) == 5, "the running one ends"
    assert Forecast([SMALL], limit=100).seconds_left(trials, 2, 15.0) == pytest.approx(25, rel=0.1)


def test_recipes_that_a_space_offers():
    space = {
        "model": {"_type": "choice", "_value": [{"_name": "resnet18"}, "resnet34"]},
        "image_size": {"_type": "choice", "_value": ["32x32", "64x32"]},
        "learning_rate": {"_type": "loguniform", "_value": [0.1, 1]},
        "epochs": {"_type": "randint", "_value": [2, 6]},
    }
    found = workloads_in(space, ["weights=none", "fold=all", "train_fraction=0.5"])
    assert found[0] == Workload("resnet18", 1024, 4, 2.5)
    assert [(r.model, r.pixels) for r in found] == [
        ("resnet18", 1024), ("resnet18", 2048), ("resnet34", 1024), ("resnet34", 2048),
    ]  # fmt: skip


def test_a_normal_range_counts_by_its_middle():
    (found,) = workloads_in({"epochs": {"_type": "qnormal", "_value": [20, 4, 1]}}, ["weights=none"])
    assert found.epochs == 20


def test_an_option_of_a_network_brings_its_image_size_along():
    def network(name, *sizes):
        return {"_name": name, "image_size": {"_type": "choice", "_value": list(sizes)}}

    networks = [network("resnet18", "16x16"), network("resnet34", "64x64", "32x32")]
    found = workloads_in({"model": {"_type": "choice", "_value": networks}}, ["weights=none"])
    assert [(r.model, r.pixels) for r in found] == [("resnet18", 256), ("resnet34", 4096), ("resnet34", 1024)]


def test_rough_while_few_have_ended():
    assert is_rough([ended(SMALL, 1.0)] * 2)
    assert not is_rough([ended(SMALL, 1.0)] * 3)
