"""Scores of resamples against the metrics themselves, intervals against theory and simulation."""

import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student

from analysis.trust.answers import Counts, count
from analysis.trust.bootstrap import (
    differences,
    intervals,
    observed,
    resampled,
    resamples,
    without_each,
)
from trial.metrics import METRICS, score_probabilities


def photos(people=30, recipes=3, classes=5, each=4, seed=0, skill=1.5):
    """(labels, probabilities (recipes, photos, classes), groups): a person's photos are alike, of one class."""
    rng = np.random.default_rng(seed)
    groups = np.arange(people).repeat(each)
    labels = np.sort(rng.integers(classes, size=people)).repeat(each)
    person = rng.normal(size=(recipes, people, classes)).repeat(each, 1)
    logits = person + 0.4 * rng.normal(size=person.shape) + skill * np.eye(classes)[labels]
    chances = np.exp(logits)
    return labels, chances / chances.sum(2, keepdims=True), groups


def counts(labels, chances, groups) -> Counts:
    log = np.log(chances[:, np.arange(len(labels)), labels]).T
    return count(labels, chances.argmax(2).T, groups, chances.shape[2], log)


@pytest.mark.parametrize("metric", METRICS)
def test_the_score_of_a_resample_is_the_metric_of_its_photos(metric):
    labels, chances, groups = photos()
    of = counts(labels, chances, groups)
    weights = resamples(30, 20)
    assert (weights.sum(1) == 30).all()
    assert len(np.unique(weights, axis=0)) == 20
    weights[0] = groups[::4] < 3  # classes go missing
    found, whole, without = resampled(of, weights, metric), observed(of, metric), without_each(of, metric)
    for recipe in range(3):

        def direct(rows, own=chances[recipe]):
            return METRICS[metric](score_probabilities(labels[rows], own[rows]))

        for row, times in zip(found, weights, strict=True):
            drawn = np.concatenate(
                [np.flatnonzero(groups == g) for g in range(30) for _ in range(int(times[g]))]
            )
            assert row[recipe] == pytest.approx(direct(drawn), abs=1e-5)
        assert whole[recipe] == pytest.approx(direct(slice(None)), abs=1e-12)
        assert without[7, recipe] == pytest.approx(direct(groups != 7), abs=1e-5)


def test_more_recipes_than_fit_at_a_time_give_the_same():
    labels, chances, groups = photos(recipes=70)
    of = counts(labels, chances, groups)
    together = intervals(of, "macro_f1")
    assert len(together) == 70
    for recipe in (0, 63, 64, 69):
        (alone,) = intervals(of.recipes([recipe]), "macro_f1")
        assert (alone.low, alone.high) == pytest.approx(
            (together[recipe].low, together[recipe].high), abs=1e-6
        )


def test_the_interval_of_an_accuracy_is_that_of_a_mean_over_people():
    rng = np.random.default_rng(0)
    groups, right = np.arange(400).repeat(5), (rng.random(400) < 0.7).repeat(5)
    of = count(np.zeros(2000, int), (~right).astype(int)[:, None], groups, 2)
    (found,) = intervals(of, "accuracy", number=20_000)
    mean, error = right.mean(), right[::5].std() / 20
    assert found.value == pytest.approx(mean)
    assert found.error == pytest.approx(error, rel=0.02)
    assert found.high - found.value == pytest.approx(student.ppf(0.975, 400) * error, rel=0.03)
    (as_photos,) = intervals(
        count(np.zeros(2000, int), (~right).astype(int)[:, None], np.arange(2000), 2), "accuracy"
    )
    assert as_photos.error == pytest.approx(error / 5**0.5, rel=0.05)


def test_the_same_seed_gives_the_same_interval():
    of = counts(*photos())
    assert (
        intervals(of, "macro_f1", seed=1)
        == intervals(of, "macro_f1", seed=1)
        != intervals(of, "macro_f1", seed=2)
    )


def test_a_difference_is_paired_and_smaller_than_two_independent_scores_would_differ_by():
    labels, chances, groups = photos(people=100, recipes=1)
    alike = chances[0].copy()
    alike[groups == 3] = np.roll(alike[groups == 3], 1, axis=1)  # one person is told otherwise
    of = counts(labels, np.stack([chances[0], alike]), groups)
    scores = intervals(of, "accuracy")
    zero, found = differences(of, 0, "accuracy")
    assert (zero.low, zero.value, zero.high) == (0, 0, 0)
    assert found.value == pytest.approx(scores[1].value - scores[0].value)
    assert found.error < scores[0].error / 3
    assert found.contains_zero
    backwards = differences(of, 1, "accuracy")[0]
    assert (backwards.low, backwards.high) == pytest.approx((-found.high, -found.low))


def test_without_probabilities_there_is_no_log_loss():
    of = replace(counts(*photos()), log_probability=None)
    with pytest.raises(ValueError, match="the log loss needs probabilities"):
        intervals(of, "log_loss")


def test_a_class_that_nobody_has_widens_the_interval_upwards_only_in_the_macro_f1():
    labels, chances, groups = photos(classes=5)
    wider = np.concatenate([chances, np.zeros((*chances.shape[:2], 1))], 2)
    log = np.log(chances[:, np.arange(len(labels)), labels]).T
    of = count(labels, chances.argmax(2).T, groups, 5, log)
    missing = count(labels, wider.argmax(2).T, groups, 6, log)
    for metric, down, up in (
        ("macro_f1", 0, 1),
        ("balanced_accuracy", 1, 1),
        ("accuracy", 0, 0),
        ("log_loss", 0, 0),
    ):
        full, part = intervals(of, metric)[0], intervals(missing, metric)[0]
        scale = part.value / full.value  # the absent class counts 0
        assert part.absent == 1
        assert part.value - part.low == pytest.approx(
            scale * (full.value - full.low) + down * part.value / 6, rel=0.01
        )
        assert part.high - part.value == pytest.approx(
            scale * (full.high - full.value) + up * (full.value if metric == "macro_f1" else part.value) / 6,
            rel=0.01,
        )


def test_people_who_are_all_told_rightly_leave_room_for_one_who_is_not():
    of = count(np.zeros(60, int), np.zeros((60, 1), int), np.arange(30).repeat(2), 2)
    (found,) = intervals(of, "accuracy")
    assert (found.value, found.low, found.high) == (1, pytest.approx(0.9), 1)
    alone = count(np.zeros(2, int), np.zeros((2, 1), int), np.zeros(2, int), 2)
    assert intervals(alone, "accuracy")[0].low == 0


def test_intervals_cover_the_truth_where_those_over_photos_do_not():
    """People of three classes, one of them in a tenth of them; a person's photos are told alike."""

    def sample(people, seed):
        rng = np.random.default_rng(seed)
        labels = np.r_[np.zeros(people // 10, int), 1 + np.arange(people - people // 10) % 2].repeat(6)
        hard = rng.normal(size=(people, 1)).repeat(6, 0) + 0.5 * rng.normal(size=(people * 6, 2))
        given = np.where(hard > -0.6, labels[:, None], (labels[:, None] + 1 + (hard > -1.4)) % 3)
        return labels, given

    def of(labels, given, groups):
        return count(labels, given, groups, 3)

    labels, given = sample(40_000, 0)
    truth = observed(of(labels, given, np.arange(len(labels))), "macro_f1")[0]
    by_person, by_photo, apart = [], [], []
    for seed in range(200):
        labels, given = sample(60, seed + 1)
        people, each = np.arange(60).repeat(6), np.arange(360)
        for groups, found in ((people, by_person), (each, by_photo)):
            one = intervals(of(labels, given, groups).recipes([0]), "macro_f1", number=400)[0]
            found.append(one.low <= truth <= one.high)
        apart.append(differences(of(labels, given, people), 1, "macro_f1", number=400)[0].contains_zero)
    assert 0.91 < np.mean(by_person) < 0.985
    assert 0.91 < np.mean(apart) < 0.985
    assert np.mean(by_photo) < 0.8


def test_fifty_trials_of_900_people_take_a_moment():
    rng = np.random.default_rng(0)
    labels = rng.integers(18, size=6300)
    given = np.where(rng.random((6300, 50)) < 0.6, labels[:, None], rng.integers(18, size=(6300, 50)))
    of = count(labels, given, np.arange(900).repeat(7), 18)
    started = time.process_time()
    intervals(of, "macro_f1", number=2000)
    assert time.process_time() - started < 3  # .4 s alone on the machine
