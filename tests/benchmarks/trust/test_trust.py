"""The benchmarks of trust: populations, intervals and rules against direct computations."""

import numpy as np
import pandas as pd
import pytest

from analysis.trust.answers import count
from analysis.trust.bootstrap import intervals, observed
from benchmarks.search import table
from benchmarks.trust import confirming, coverage, labels, leakage, promise, retraining
from benchmarks.trust.populations import (
    CLASSES,
    EVEN,
    RANDOM,
    SHARES,
    drawn,
    drawn_losses,
    even,
    everyone,
    persons,
    recorded,
)
from dataset.read import read_train
from trial.metrics import score


def test_everyone_is_on_one_side_or_the_other_with_the_answers_of_the_table():
    known = table.read()
    answers, labels = everyone(known)
    assert answers.shape[:2] == labels.shape
    run = [run for run in known.runs if run.seed == known.seeds[0] and not run.failed][3]
    people = len(np.unique(known.groups["validation"]))
    for side, part in (("validation", slice(0, people)), ("others", slice(people, None))):
        mine = score(labels[part].ravel(), answers[part, :, 3, -1].ravel(), CLASSES).macro_f1
        assert mine == pytest.approx(run.scores[side][-1])


def test_samples_are_of_whole_people_dealt_as_asked():
    assert even(100).tolist() == np.arange(6).repeat([19, 18, 2, 29, 28, 4]).tolist()
    population = recorded(table.SHIPPED)
    _, labels = everyone(table.read())
    given, predicted = population.sample(np.random.default_rng(0), 60, EVEN)
    kinds = np.bincount(given.reshape(-1, 7)[:, 0] % 6, minlength=6)
    np.testing.assert_array_equal(kinds, np.bincount(even(60), minlength=6))
    assert {tuple(person) for person in given.reshape(-1, 7)} <= {tuple(person) for person in labels}
    assert predicted.shape == (420, 3)
    chance, _ = population.sample(np.random.default_rng(0), 60, RANDOM)
    assert (np.bincount(chance.reshape(-1, 7)[:, 0] % 6, minlength=6) != kinds).any()


def test_the_true_score_of_drawn_people_is_that_of_many_others():
    population = drawn(1.2)
    labels, predicted = population.sample(np.random.default_rng(5), 20_000, EVEN)
    again = observed(count(labels, predicted, persons(labels), CLASSES), "macro_f1")
    assert population.score("macro_f1") == pytest.approx(again, abs=0.01)
    assert np.bincount(labels, minlength=18)[:6] / 20_000 / 5 == pytest.approx(SHARES, abs=1e-3)


def test_the_log_loss_of_drawn_people_is_that_of_many_others_and_its_interval_is_over_people():
    population = drawn_losses(1.2)
    labels, log = population.sample(np.random.default_rng(5), 20_000, EVEN)
    truth = population.score("log_loss")[0]
    assert log[:, 0].mean() == pytest.approx(truth, abs=0.01) and -3 < truth < -0.2
    rare = labels % 3 == 2
    assert log[rare, 0].mean() < log[~rare, 0].mean() - 0.5
    found = coverage.coverage(population, 60, EVEN, 12, "log_loss")
    assert found["score", coverage.OURS][0] > found["score", coverage.BY_PHOTO][0]
    assert found["score", coverage.BY_PHOTO][2] < 0.7 * found["score", coverage.OURS][2]
    assert {one.name for one, _ in coverage.populations(table.SHIPPED, "log_loss")} >= {population.name}


def test_coverage_counts_the_intervals_that_hold_the_truth():
    population = drawn(0.7)
    truth = population.score("accuracy")[0]
    found = coverage.coverage(population, 40, EVEN, 12, "accuracy")
    hits = []
    for sample in range(12):
        labels, predicted = population.sample(np.random.default_rng([40, sample]), 40, EVEN)
        of = count(labels, predicted, persons(labels), CLASSES)
        one = intervals(of.recipes([0]), "accuracy", coverage.RESAMPLES, sample)[0]
        hits.append(one.low <= truth <= one.high)
    assert found["score", coverage.OURS][0] == np.mean(hits)
    assert found["score", coverage.BY_PHOTO][2] < found["score", coverage.OURS][2]
    assert found["score", "percentile"][2] == pytest.approx(found["score", "basic"][2])


def test_rules_choose_as_their_names_say():
    curves = np.array([[0.1, 0.5, 0.2, 0.2, 0.2], [0.2, 0.3, 0.35, 0.4, 0.3], [0.0, 0.1, 0.2, 0.3, 0.41]])
    chosen = {name: divmod(int(rule(curves).argmax()), 5) for name, rule in promise.RULES.items()}
    assert chosen["best epoch"] == (0, 1)
    assert chosen["last epoch"] == (2, 4)
    assert chosen["mean of last 3"] == (1, 4)
    assert chosen["median of 3"] == (2, 4)  # .3, .41, .41
    assert chosen["mean of 3"] == (2, 4)
    assert promise.RULES["mean of 3"](curves)[1, 3] == pytest.approx(0.35)
    assert promise.RULES["median of 5"](curves)[0, 2] == 0.2
    assert promise.RULES["running mean"](curves)[2, 2] == pytest.approx(0.125)
    assert promise.RULES["mean of last 3"](curves).max() == pytest.approx((0.35 + 0.4 + 0.3) / 3)


@pytest.mark.slow
def test_a_search_holds_what_its_choice_scores_on_the_others():
    (found,) = promise.recorded_searches(table.SHIPPED, 1, 5)
    best = found[promise.BEST]
    assert best.promises[0] == best.promises[1] > best.promises[2]
    assert set(found) == {promise.NONE, promise.KEPT, *promise.RULES}
    assert promise.text([found, found]).count("\n") == len(found)
    (drawn_one,) = promise.drawn_searches(1, 4)
    assert 0.3 < drawn_one[promise.BEST].true < 0.7


@pytest.mark.slow
def test_confirming_finds_the_best_of_leaders_that_one_look_cannot_tell():
    (found,) = confirming.recorded_searches(table.SHIPPED, 1)
    search, *rounds = confirming.confirmed(found, 4)
    assert len(rounds) == 2
    assert (search.gain, search.runs, search.lost) == (0, 0, 0)
    assert rounds[0].runs <= rounds[1].runs <= 8
    (drawn_one,) = confirming.drawn_searches(1)
    found = [confirming.confirmed(drawn_one, 3), confirming.confirmed(drawn_one, 3)]
    assert confirming.text(found).count("\n") == 1 + confirming.ROUNDS
    counts, curves = drawn_one.rounds[0](np.array([4, 0]))
    assert (counts.n_recipes, curves.shape) == (2, (2, promise.DRAWN_EPOCHS))


def test_a_retraining_is_compared_with_the_promise_on_the_same_people():
    rng = np.random.default_rng(0)
    label = np.tile(np.arange(18), 20)
    known = {"label": label, "group": np.arange(360).astype(str), "eval_label": label, "eval_trial": label}
    right = np.where(rng.random(360) < 0.8, label, (label + 1) % 18)
    known |= {"best": right, "ema": label, "soup": right, "all": right, "soup_of": 2, "stop_after": 2}
    known |= {
        "eval_all": np.array([right, label, right]),
        "fold_label": label[:72],
        "fold": [right[:72], label[:72]],
        "smaller_fold": [np.where(np.arange(72) % 2, right[:72], 0)],
        "smaller": right,
    }
    known = {name: np.asarray(value) for name, value in known.items()} | {
        "fold_group": np.arange(72).astype(str)
    }
    of = retraining.of_seed(known)
    assert of["all - trial, others"] == of["soup - best epoch, others"] == 0
    assert of["ema - best epoch, others"] == pytest.approx(1 - of["seen, others"])
    assert (of["seen, eval"], of["best epoch - chosen, eval"]) == (1, 0)
    assert of["last epoch - chosen, eval"] == pytest.approx(-of["ema - best epoch, others"], abs=1e-6)
    deals = retraining.dealt(known, 0)
    assert len(deals) == retraining.DEALS
    assert abs(np.mean([error for error, *_ in deals])) < 0.03
    assert all(abs(error - larger) < 1e-4 for error, _, larger, _ in deals), (
        "the smaller is as good: no more is promised"
    )
    assert of["grown - seen, eval"] == of["promise - seen, eval"] == 0, "the best epoch makes no error"
    assert "10 deals: promise - seen" in retraining.text({0: known})


@pytest.mark.parametrize("head", ["lda", "mlp"])
def test_heads_of_more_people_promise_more_and_are_compared_as_networks_are(head):
    rng = np.random.default_rng(0)
    label, group = np.arange(18).repeat(40), np.arange(720).astype(str)
    features = np.eye(18)[label] + rng.normal(size=(720, 18))
    table = pd.DataFrame({"group": group, "label": label})
    known = retraining.head_answers(head, 0, features, table, (features, label), 300, 300)
    assert known.keys() >= {"fold", "smaller_fold", "best", "smaller", "all", "eval_all"}
    of = retraining.of_seed(known)
    assert of["seen, eval"] > 0.2 and of["all - trial, eval"] > 0
    assert of["grown - seen, others"] > of["promise - seen, others"]
    assert not set(known["fold_group"]) & set(known["group"])


def test_wrong_labels_are_planted_by_person_where_photos_share_the_factor(people):
    task, table = read_train(people)
    wrong = labels.planted(task, table, 0.1, 0)
    genders = (wrong["gender"] != table["gender"]).groupby(table["group"]).mean()
    assert sorted(genders) == [0.0] * 27 + [1.0] * 3
    assert (wrong["mask"] != table["mask"]).sum() == 21
    probabilities = np.full((len(table), task.n_classes), 0.01)
    probabilities[np.arange(len(table)), table["label"]] = 0.83  # as one who knows everything
    for factor, photos, (*_, precision, recall) in labels.measure(task, table, wrong, probabilities)[1:]:
        assert photos == 21 and (np.isnan(precision) or precision == 1) and 0 <= recall <= 1, factor


def test_people_on_both_sides_are_counted_as_found_or_taken_for_others():
    rng = np.random.default_rng(0)
    row = np.arange(100).repeat(7)
    features = rng.normal(size=(100, 30))[row] + 0.1 * rng.normal(size=(700, 30))
    cells = leakage.found(features, row.astype(str), rng.normal(size=(200, 30)), 0.1)
    found, total = cells[0].split(" of ")
    assert (cells[2], total) == ("10 of 10", "10") and int(found) >= 9
    assert cells[1].endswith(" of 110") and cells[3].endswith(" of 210")
    assert int(cells[1].split()[0]) <= 4 and int(cells[3].split()[0]) <= 6
