"""Greedy selection, stacking and votes, with their nested estimates."""

from itertools import product

import numpy as np
import pytest

from analysis.predict.combining import _Greedy, combine, fits_of
from analysis.predict.vote import WAYS, hard, soft
from analysis.trust.nested import assign_folds, out_of_fold
from common.errors import UsageError
from tests.analysis.trust.drawn_answers import drawn
from trial.metrics import score


def macro_f1(labels, probabilities):
    return score(labels, probabilities.argmax(1), probabilities.shape[1]).macro_f1


def test_the_greedy_selection_adds_the_member_that_helps_most_with_replacement():
    members, labels, _ = drawn(40, noise=2.0, members=3)
    found = _Greedy(np.array(members), labels, "macro_f1").select(np.ones(len(labels)))
    assert macro_f1(labels, np.tensordot(found / found.sum(), members, 1)) >= max(
        macro_f1(labels, member) for member in members
    )
    # By hand: each step takes the best of all one-member additions.
    times, path = np.zeros(3, int), []
    for _ in range(20):
        tried = [macro_f1(labels, np.tensordot((times + one) / (times + one).sum(), members, 1))
                 for one in np.eye(3, dtype=int)]  # fmt: skip
        equal = [member for member in range(3) if tried[member] >= max(tried) - 1e-9]
        times[max(equal, key=lambda member: (times[member], -member))] += 1
        path.append((max(tried), times.copy()))
    best = max(value for value, _ in path)
    assert found.tolist() == next(own for value, own in path if value > best - 1e-9).tolist()


def test_ties_go_to_members_that_are_in_already():
    members, labels, groups = drawn(20, members=1)
    twice = np.array([members[0], members[0]])
    person = np.unique(groups, return_inverse=True)[1]
    found = _Greedy(twice, labels, "macro_f1").bagged(person, np.ones(len(labels), bool))
    assert found.tolist() == [1, 0]


def test_a_useless_member_gets_little_weight_and_a_good_one_adds():
    good, labels, groups = drawn(120, noise=1.5, members=2)
    bad = np.random.default_rng(0).dirichlet(np.full(18, 0.3), len(labels))
    found = combine([*good, bad], labels, groups, "macro_f1", "greedy")
    assert found.chosen.weights[2] < 0.15
    assert found.adds[0].value > 0
    assert found.chosen.weights.sum() == pytest.approx(1)
    assert found.scores["greedy"].value > found.scores["soft"].value


def test_the_nested_estimate_is_of_what_was_fitted_to_other_people():
    members, labels, groups = drawn(60, noise=2.0, members=4)
    fold = assign_folds(groups, labels)
    for name, person in {(name, row) for name, row in zip(groups, fold, strict=True)}:
        assert set(fold[groups == name]) == {person}, "a person is in one fold"
    seen = []

    def fit(rows):
        seen.append(set(groups[rows]))

        def apply(others):
            assert not seen[-1] & set(groups[others])
            return np.array(members[0])[others]

        return apply

    assert np.array_equal(out_of_fold(fit, fold), members[0])
    assert len(seen) == 5
    found = combine(members, labels, groups, "macro_f1", "stacking")
    flattering = macro_f1(labels, found.chosen.apply(members))
    assert found.scores["stacking"].value == pytest.approx(macro_f1(labels, found.nested))
    assert flattering > found.scores["stacking"].value, "fitted to the same rows it looks better"


def test_votes_need_no_fit_so_their_nested_score_is_their_score():
    members, labels, groups = drawn(50, noise=2.0, members=3)
    found = combine(members, labels, groups, "macro_f1")
    for way, vote in (("soft", soft), ("hard", hard)):
        assert found.scores[way].value == pytest.approx(macro_f1(labels, vote(members)))
    assert set(found.scores) == {"best", *WAYS}
    assert found.gains["best"].value == 0


@pytest.mark.slow
def test_of_equals_the_simplest_is_taken_and_a_clear_winner_before_it():
    members, labels, groups = drawn(60, noise=1.5, members=3)
    assert combine(members, labels, groups, "macro_f1").chosen.way == "soft"
    rng = np.random.default_rng(0)
    noise = [rng.dirichlet(np.full(18, 0.05), len(labels)) for _ in range(6)]
    found = combine([members[0], *noise], labels, groups, "macro_f1")
    assert found.chosen.way in ("greedy", "stacking")
    assert found.scores[found.chosen.way].value > found.scores["soft"].value + 0.05
    assert "taken: " in "\n".join(found.lines(list("abcdefg"), "macro-F1"))


@pytest.mark.parametrize(
    ("way", "metric"), [*product(("soft", "greedy", "stacking"), ("accuracy", "log_loss"))]
)
def test_other_metrics_and_classes_that_are_missing(way, metric):
    members, labels, groups = drawn(12, members=2)
    assert len(np.unique(labels)) < 18
    found = combine(members, labels, groups, metric, way)
    answers = found.chosen.apply(members)
    assert answers.shape == members[0].shape and answers.sum(1) == pytest.approx(1)
    assert np.isfinite(found.scores[way].value)


@pytest.mark.parametrize("way", ["greedy", "stacking"])
def test_what_a_member_adds_is_the_nested_score_with_it_minus_that_of_a_fit_without_it(way):
    members, labels, groups = drawn(24, noise=2.0, members=3)
    found, fold = combine(members, labels, groups, "macro_f1", way), assign_folds(groups, labels)
    left = np.array(members[1:])
    fit = fits_of(left, labels, groups, "macro_f1")[way]
    alone = out_of_fold(lambda rows: lambda others: fit(rows).apply(left[:, others]), fold)
    adds = found.adds[0]
    assert adds.value == pytest.approx(macro_f1(labels, found.nested) - macro_f1(labels, alone))
    assert adds.low <= adds.value <= adds.high
    assert set(found.adds_facts(0)) == {"adds", "adds_low", "adds_high"}
    said = found.lines(list("abc"), "macro-F1")[-3:]
    assert all("adds " in line and ("weight" in line) == (way != "stacking") for line in said)


def test_one_group_or_one_class_has_no_nested_estimate():
    members, labels, groups = drawn(1, members=2)
    with pytest.raises(UsageError, match="2 groups or more"):
        combine(members, labels, groups, "macro_f1")
    members, labels, groups = drawn(10, members=2)
    with pytest.raises(UsageError, match="2 classes or more"):
        combine(members, np.zeros_like(labels), groups, "macro_f1")
