"""What is read of run folders, what is refused, and counts against a direct computation."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.trust.answers import answers_of, common, counts_of, read_all, read_answers
from common.errors import UsageError
from tests.analysis.fake_run import untrained
from trial.probabilities import MIN_PROBABILITY
from trial.run_folder.predictions import probability_columns


def predictions(people=6, seed=0, first=0, classes=18) -> pd.DataFrame:
    """Answers for two photos of each person, as `trial` writes them."""
    rng = np.random.default_rng(seed)
    names = [f"{first + person:03d}" for person in range(people) for _ in range(2)]
    photos = [f"{name}/{number % 2}.jpg" for number, name in enumerate(names)]
    table = pd.DataFrame({"photo": photos, "person": names, "fold": 0})
    table["label"] = np.random.default_rng(99).integers(classes, size=len(table))
    return table.join(
        pd.DataFrame(rng.dirichlet(np.ones(classes), len(table)), columns=probability_columns(classes))
    )


def answers(table: pd.DataFrame, source="run/validation.parquet"):
    return answers_of(table.rename(columns={"person": "group"}), source)


def test_a_run_folder_is_read_as_it_was_written_in_any_order_of_its_rows(tmp_path):
    table = predictions()
    untrained(tmp_path / "a", validation=table)
    untrained(tmp_path / "b", validation=table.sample(frac=1, random_state=0))
    one, other = read_all([tmp_path / "a", tmp_path / "b"])
    assert one.source == str(tmp_path / "a" / "validation.parquet")
    for name in ("photos", "groups", "labels", "predicted", "log_probability"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    chances = table[probability_columns(18)].to_numpy()
    order = table["photo"].argsort()
    np.testing.assert_array_equal(one.predicted, chances.argmax(1)[order])
    np.testing.assert_allclose(one.log_probability, np.log(chances[np.arange(12), table["label"]])[order])


def test_counts_are_those_of_each_person():
    table = predictions()
    counts = counts_of([answers(table), answers(predictions(seed=1))])
    for number, (_, own) in enumerate(table.groupby("person")):
        given = own[probability_columns(18)].to_numpy().argmax(1)
        np.testing.assert_array_equal(counts.truth[number], np.bincount(own["label"], minlength=18))
        np.testing.assert_array_equal(counts.given[number, 0], np.bincount(given, minlength=18))
        np.testing.assert_array_equal(
            counts.hits[number, 0], np.bincount(given[given == own["label"]], minlength=18)
        )
        true = own[probability_columns(18)].to_numpy()[[0, 1], own["label"]]
        assert counts.log_probability[number, 0] == pytest.approx(np.log(true.clip(MIN_PROBABILITY)).sum())
    assert (counts.n_groups, counts.n_recipes) == (6, 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.assign(p03=np.nan), "12 photos with a probability that is not a number"),
        (lambda t: t.assign(p03=t["p03"] + (t.index == 4)), "1 photo whose probabilities do not sum to 1"),
        (lambda t: t.assign(p03=-1.0), "12 photos whose probabilities do not sum to 1"),
        (lambda t: t.assign(label=t["label"].where(t.index != 2, 18)), "none of its 18 classes: 18"),
        (
            lambda t: t.assign(photo=t["photo"].where(t.index != 2, t["photo"][0])),
            "several answers: 000/0.jpg",
        ),
        (lambda t: t.drop(columns="label"), "no column label"),
        (lambda t: t[:0], "holds no answers"),
    ],
)
def test_answers_that_cannot_be_right_are_refused_by_the_name_of_the_file(change, words):
    with pytest.raises(UsageError, match=r"run/validation.parquet") as error:
        answers(change(predictions()))
    assert words in str(error.value)


def test_damaged_and_missing_files_are_named_all_at_once(tmp_path):
    untrained(tmp_path / "half", validation=predictions())
    path = tmp_path / "half" / "validation.parquet"
    path.write_bytes(path.read_bytes()[:200])
    untrained(tmp_path / "none")
    with pytest.raises(UsageError) as error:
        read_all([tmp_path / "half", tmp_path / "none"])
    first, second = error.value.errors
    assert first.startswith(f"{path}: is damaged")
    assert second.startswith(f"{tmp_path / 'none' / 'validation.parquet'}: does not exist")


def test_half_precision_probabilities_are_taken(tmp_path):
    table = predictions()
    names = probability_columns(18)
    table[names] = table[names].astype(np.float16)
    untrained(tmp_path / "run", validation=table)
    assert len(read_answers(tmp_path / "run").photos) == 12


def test_runs_that_do_not_belong_together_are_refused_with_the_difference():
    one = answers(predictions(), "one")
    with pytest.raises(UsageError, match=r"^two: has 8 photos that one lacks, and lacks 4 of its photos$"):
        counts_of([one, answers(predictions(people=8, first=2), "two")])
    with pytest.raises(UsageError, match=r"two: has 5 classes, one 18"):
        counts_of([one, replace(answers(predictions(), "two"), n_classes=5)])
    with pytest.raises(UsageError, match=r"two: has other labels of 12 photos than one"):
        counts_of([one, replace(answers(predictions(), "two"), labels=(one.labels + 1) % 18)])
    with pytest.raises(UsageError, match=r"two: has other groups of 12 photos than one"):
        counts_of([one, replace(answers(predictions(), "two"), groups=np.array(["x"] * 12))])


def test_what_two_runs_have_in_common_is_compared_and_nothing_else():
    one, other = answers(predictions(people=6), "one"), answers(predictions(people=8, seed=1), "two")
    mine, its = common(one, other)
    assert list(mine.photos) == list(its.photos) == list(one.photos)
    np.testing.assert_array_equal(its.predicted, other.predicted[: len(its.photos)])
    elsewhere = replace(one, photos=np.char.add("x", one.photos), source="two")
    with pytest.raises(UsageError, match=r"two: has no photo in common with one"):
        common(one, elsewhere)
    with pytest.raises(UsageError, match=r"two: has other labels"):
        common(one, replace(other, labels=(other.labels + 1) % 18))
