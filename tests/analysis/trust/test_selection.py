"""The promise of the best one in cases whose answer is known."""

import numpy as np
import pytest

from analysis.trust.answers import count
from analysis.trust.bootstrap import intervals, observed
from analysis.trust.curves import curve_of, curves_of, neighbours_mean, steady, whole_curve
from analysis.trust.leaders import leaders_of
from analysis.trust.selection import correct, of_epochs, select
from common.errors import UsageError
from tests.analysis.fake_run import untrained
from tests.analysis.trust.test_answers import predictions


def test_the_promise_of_the_best_of_equals_is_their_mean_and_a_clear_winner_keeps_its_score():
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(300):
        values = 0.5 + 0.02 * rng.normal(size=30)
        found = correct(values, 0.02 * rng.normal(size=(500, 30)))
        assert found.winner == values.argmax()
        assert found.taken == values.max()
        assert found.chosen.sum() == pytest.approx(1)
        errors.append((found.taken - 0.5, found.value - 0.5))
    taken, corrected = np.mean(errors, 0)
    assert taken == pytest.approx(0.041, abs=0.002)  # the mean maximum of 30
    assert corrected == pytest.approx(0, abs=0.003)
    values[7] = 0.9
    alone = correct(values, 0.02 * rng.normal(size=(500, 30)))
    assert (alone.winner, alone.chosen[7]) == (7, 1)
    assert alone.value == pytest.approx(0.9, abs=0.003)


def test_the_rule_is_the_mean_of_neighbouring_epochs_and_keeps_the_ends():
    curve = np.array([0.1, 0.4, 0.9, 0.5, 0.6])
    assert neighbours_mean(curve) == pytest.approx([0.6 / 3, 1.4 / 3, 0.6, 2 / 3, 1.7 / 3])
    short = neighbours_mean(np.array([[0.1, 0.4, np.nan], [0.3, np.nan, np.nan]]))
    np.testing.assert_allclose(short, [[0.2, 0.3, np.nan], [0.3, np.nan, np.nan]])


def test_the_epoch_is_that_of_the_best_mean():
    assert steady(np.array([0.1, 0.4, 0.9, 0.5, 0.6])) == (pytest.approx(2 / 3), 4)
    assert steady(np.array([0.3])) == (pytest.approx(0.3), 1)
    assert steady(np.array([])) is None
    assert steady(np.array([np.nan])) is None


def test_a_curve_is_the_mean_over_the_folds_of_a_run(tmp_path):
    (tmp_path / "epochs.csv").write_text("fold,epoch,macro_f1\n0,1,.1\n0,2,.3\n1,1,.3\n1,2,\n")
    np.testing.assert_allclose(curve_of(tmp_path, "macro_f1"), [0.2, np.nan])
    ended = [{1: 0.1, 2: np.nan}, {1: 0.2, 2: 0.3, 3: 0.4}]
    np.testing.assert_allclose(whole_curve(ended), [0.15, np.nan, 0.25], err_msg="the last one that is known")
    assert curve_of(tmp_path / "none", "macro_f1").size == 0


def test_deviations_of_all_epochs_keep_those_of_one_and_how_recipes_go_together():
    rng = np.random.default_rng(0)
    shared, own = rng.normal(size=(4000, 1)), rng.normal(size=(4000, 3))
    known = 0.03 * (0.8 * shared + 0.6 * own)
    curves = 0.5 + 0.01 * rng.normal(size=(3, 40))
    drawn = of_epochs(known, curves)
    assert drawn.shape == (4000, 3, 40)
    assert drawn.std(0) == pytest.approx(np.full((3, 40), 0.03), rel=0.05)
    two = np.corrcoef(drawn[:, 0, 5], drawn[:, 1, 9])[0, 1]
    assert two == pytest.approx(np.corrcoef(known[:, 0], known[:, 1])[0, 1], abs=0.05)
    # The curves' noise is new in each epoch: a ninth of the variance.
    assert np.corrcoef(drawn[:, 0, 5], drawn[:, 0, 9])[0, 1] == pytest.approx(1 - 1 / 9, abs=0.04)
    level = of_epochs(known, np.full((3, 40), 0.5))
    np.testing.assert_allclose(level.std(2), 0, atol=1e-6)


def people(recipes=12, number=60, seed=0):
    """Recipes that are equally good, but for the last one, which is worse."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(number) % 3).repeat(4)
    right = rng.normal(size=(number, recipes)).repeat(4, 0) + 0.5 * rng.normal(size=(number * 4, recipes))
    right[:, -1] -= 1.5
    given = np.where(right > -0.6, labels[:, None], (labels[:, None] + 1) % 3)
    return count(labels, given, np.arange(number).repeat(4), 3)


def test_equals_are_named_and_the_promise_is_below_the_highest_score():
    of = people()
    found = select(of, "macro_f1")
    scores = observed(of, "macro_f1")
    assert found.winner == scores.argmax()
    assert 11 not in found.equal
    assert list(found.equal) == sorted(found.equal, key=lambda one: -scores[one])
    assert set(found.equal) == {
        one for one in range(12) if one != found.winner and found.behind_by[one].contains_zero
    }
    assert len(found.equal) > 3
    assert found.promise.value == pytest.approx(scores.max() - found.flattered)
    assert 0.01 < found.flattered < 0.15
    own = intervals(of, "macro_f1", number=1000)[found.winner]
    assert found.promise.high - found.promise.low == pytest.approx(own.high - own.low, abs=1e-5)
    assert found.chosen.sum() == pytest.approx(1)


def test_the_promise_is_right_on_average():
    """12 recipes of the same true score: the highest score is too high, the promise is not."""
    truth = observed(people(number=20_000, recipes=2, seed=1), "macro_f1")[0]
    errors = []
    for seed in range(60):
        found = select(people(seed=seed), "macro_f1", number=300)
        errors.append((found.promise.value + found.flattered - truth, found.promise.value - truth))
    taken, promised = np.mean(errors, 0)
    assert taken > 0.05
    assert abs(promised) < 0.02


def test_recipes_that_are_always_right_promise_that(recwarn):
    labels = (np.arange(20) % 3).repeat(2)
    found = select(
        count(labels, labels[:, None].repeat(2, 1), np.arange(20).repeat(2), 3), "accuracy", np.ones((2, 4))
    )
    assert (found.winner, found.promise.value, found.promise.high, found.flattered) == (0, 1, 1, 0)
    assert found.promise.low == pytest.approx(0.85)  # none of 20 was told wrongly
    assert found.equal == (1,)
    assert not recwarn.list


def test_run_folders_are_chosen_among_by_their_curves(tmp_path):
    for seed in range(3):
        untrained(tmp_path / str(seed), seed, predictions(people=20, seed=seed))
        rows = [0.2, 0.3 + 0.1 * (seed == 1), 0.3] + [0.9] * (seed == 2)
        lines = [f"{epoch},{value},0" for epoch, value in enumerate(rows, 1)]
        (tmp_path / str(seed) / "epochs.csv").write_text("\n".join(["epoch,macro_f1,fold", *lines]) + "\n")
    runs = [tmp_path / str(seed) for seed in range(3)]
    np.testing.assert_allclose(
        curves_of(runs, "macro_f1"), [[0.2, 0.3, 0.3, np.nan], [0.2, 0.4, 0.3, np.nan], [0.2, 0.3, 0.3, 0.9]]
    )
    found = leaders_of(runs, "macro_f1")
    assert found.selection.winner == 2
    assert found.selection.promise.n_groups == 20
    (tmp_path / "1" / "epochs.csv").write_text("epoch,fold\n1,0\n")
    (tmp_path / "2" / "epochs.csv").unlink()
    with pytest.raises(UsageError) as error:
        curves_of(runs, "macro_f1")
    assert [
        str(tmp_path / one / "epochs.csv") in line for one, line in zip("12", error.value.errors, strict=True)
    ]
    (note,) = leaders_of(runs, "macro_f1").notes
    assert f"the promise is not corrected for the choice: {tmp_path / '1' / 'epochs.csv'}: is damaged" in note


def test_no_promise_is_above_the_highest_score_that_there_is():
    """The mean of a few drawn deviations may be below 0; here those of a network that was right in all but the epoch
    whose answers are known."""
    labels = np.arange(60) % 3
    given = labels.copy()
    given[:2] = 2
    counts = count(labels, given[:, None], np.arange(60) // 3, 3)
    for seed in range(10):
        found = select(counts, "macro_f1", np.ones((1, 5)), 50, seed)
        assert found.promise.value <= 1 and found.promise.high <= 1
        assert found.flattered == pytest.approx(1 - found.promise.value)


def test_a_promise_is_not_above_the_score_that_it_is_corrected_from():
    """That is the score of the best epoch. The mean of it and its neighbours, by which epochs are ranked, is lower
    where a curve rises to its end: nothing is corrected there, and the promise is the score."""
    labels = np.arange(60) % 3
    given = np.where(np.arange(60) % 7 > 0, labels, (labels + 1) % 3)
    counts = count(labels, given[:, None], np.arange(60) // 3, 3)
    score = observed(counts, "macro_f1")[0]
    found = select(counts, "macro_f1", score - np.array([[0.6, 0.3, 0.0]]))
    assert found.promise.value == pytest.approx(score, abs=1e-4)
    assert found.flattered == pytest.approx(0, abs=1e-4)
