"""The promise of trials that train all folds: on the scale of their scores over all people."""

import json

import numpy as np
import pytest
from scipy.special import ndtri

from analysis.trials.ranking import rank
from analysis.trials.runs import runs_table
from analysis.trust.answers import count, counts_of, read_answers
from analysis.trust.bootstrap import observed
from analysis.trust.confirmed import judge
from analysis.trust.curves import curve_of, curves_of, whole_curve
from analysis.trust.leaders import leaders_of
from analysis.trust.nested import assign_folds
from analysis.trust.selection import select
from tests.analysis.fake_run import untrained
from tests.analysis.trust.drawn_answers import KINDS, MASKS
from tests.analysis.trust.test_answers import predictions
from tests.analysis.trust.test_leaders import run

RATES = np.linspace(0.6, 0.8, 4)  # of photos that an epoch's network knows


def drawn(people, rates, seed, recipe=0):
    """(labels, people, answers (epochs, photos)); a person and a photo are easy or hard for a recipe in all
    of its epochs."""
    labels = (MASKS[None] * 6 + np.random.default_rng(seed).choice(6, people, p=KINDS)[:, None]).ravel()
    persons, random = np.arange(people).repeat(7), np.random.default_rng((seed, recipe))
    lasting = random.normal(size=people)[persons] + random.normal(size=len(labels))
    hard = lasting + random.normal(size=(len(rates), len(labels)))
    wrong = labels // 6 * 6 + (labels + 3) % 6  # the other gender
    return labels, persons, np.where(hard < ndtri(rates)[:, None] * 3**0.5, labels, wrong)


def scored(labels, answers):
    return observed(count(labels, answers.T, np.zeros(len(labels)), 18), "macro_f1")


def search(seed, people=100, recipes=6):
    """(Counts of recipes that are equally good, {epoch: score} of each of their folds)."""
    taken, curves = [], []
    for recipe in range(recipes):
        labels, persons, answers = drawn(people, RATES, seed, recipe)
        fold = assign_folds(persons.astype(str), labels, seed)
        own = np.array([scored(labels[fold == one], answers[:, fold == one]) for one in range(5)])
        taken.append(answers[own.argmax(1)[fold], np.arange(len(labels))])
        curves.append([dict(enumerate(one, 1)) for one in own])
    return count(labels, np.array(taken).T, persons, 18), curves


def test_the_promise_is_near_the_true_score_though_rare_classes_are_absent_from_folds():
    labels, _, answers = drawn(3000, RATES[-1:], 99)
    (truth,) = scored(labels, answers)
    errors = []
    for seed in range(8):
        counts, curves = search(seed)
        scores = observed(counts, "macro_f1")
        whole = [whole_curve(own, score) for own, score in zip(curves, scores, strict=True)]
        found = select(counts, "macro_f1", np.array(whole), number=100)
        mean = select(counts, "macro_f1", np.array([whole_curve(own) for own in curves]), number=100)
        errors.append([found.promise.value - truth, scores.max() - truth, mean.promise.value - truth])
    promised, highest, of_folds = np.mean(errors, 0)
    assert abs(promised) < 0.03
    assert highest > 0.05
    assert of_folds < -0.06, "the mean of the folds' scores is on another scale"


def test_an_epoch_is_as_far_below_the_score_as_the_folds_are_below_their_best():
    folds = [{1: 0.2, 2: 0.4, 3: 0.3}, {1: 0.1, 2: 0.2, 3: 0.5}]
    np.testing.assert_allclose(whole_curve(folds, 0.6), [0.6 - 0.3, 0.6 - 0.15, 0.6 - 0.05])
    np.testing.assert_allclose(whole_curve(folds), np.mean([list(one.values()) for one in folds], 0))
    np.testing.assert_allclose(whole_curve(folds[:1], 0.6), [0.2, 0.4, 0.3])


def test_a_fold_that_ended_earlier_still_counts_in_later_epochs():
    """Patience ended the first one after its best epoch, 2; the other has its best epoch after that."""
    folds = [{1: 0.2, 2: 0.6, 3: 0.4}, {1: 0.3, 2: 0.5, 3: 0.5, 4: 0.5, 5: 0.6}]
    np.testing.assert_allclose(whole_curve(folds, 0.6), [0.25, 0.55, 0.45, 0.45, 0.5])
    np.testing.assert_allclose(whole_curve(folds), [0.25, 0.55, 0.45, 0.45, 0.5])


def all_folds(folder, seed, scores):
    """A run of two folds with these curves."""
    untrained(folder, seed, predictions(40, 0), values={"fold": "all", "folds": 2})
    rows = [
        f"{fold},{epoch},{score}" for fold, own in enumerate(scores) for epoch, score in enumerate(own, 1)
    ]
    (folder / "epochs.csv").write_text("\n".join(["fold,epoch,macro_f1", *rows]) + "\n")
    return folder


def test_trials_of_all_folds_are_ranked_and_chosen_by_the_same_scores(tmp_path):
    runs = [all_folds(tmp_path / "a", 0, [(0.1, 0.3, 0.3), (0.1, 0.3, 0.3)]),
            all_folds(tmp_path / "b", 1, [(0.1, 0.2, 0.2), (0.1, 0.2, 0.2)])]  # fmt: skip
    for folder, score in zip(runs, (0.5, 0.6), strict=True):
        status = json.loads((folder / "status.json").read_text())
        status |= {"macro_f1": score, "score": score, "best_epoch": 2}
        (folder / "status.json").write_text(json.dumps(status))
    ranking = rank(runs_table(runs))
    assert list(ranking.ranked["trial"]) == ["b", "a"]
    assert ranking.ranked["steady_score"].tolist() == pytest.approx([0.6, 0.5])
    np.testing.assert_allclose(curves_of(runs, "macro_f1"), [[0.3, 0.5, 0.5], [0.5, 0.6, 0.6]])
    found = leaders_of(ranking.leading, "macro_f1")
    assert found.compared[found.selection.winner] == runs[1]
    assert found.selection.promise.value + found.selection.flattered == pytest.approx(0.6)
    assert curve_of(runs[0], "macro_f1").tolist() == [0.1, 0.3, 0.3]


def test_leaders_of_several_rounds_are_promised_their_score_over_all_people(tmp_path):
    one = [run(tmp_path / f"one{n}", n, 20 + n, (0.2, 0.2)) for n in (0, 1)]
    found, (score,) = judge([one], "macro_f1")
    assert found.promise.value + found.flattered == pytest.approx(score.value)
    assert score.value == pytest.approx(
        observed(counts_of([read_answers(one[0])]), "macro_f1")[0], abs=0.1
    ), "not .2"
