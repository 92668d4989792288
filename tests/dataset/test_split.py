import itertools
import time
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold

from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK, age_band, encode
from dataset.read import read_train
from dataset.split import absent_classes, balance, fold_of, fraction_of, split
from dataset.task import Task


def made_up(people: int) -> pd.DataFrame:
    """DataFrame of photos (without files) of `people` people, distributed as in the competition."""
    rows = []
    for number in range(people):
        gender, age = int(number % 5 > 1), (22, 45, 24, 52, 27, 41, 19, 55, 60)[number % 9]
        for mask in (0, 0, 0, 0, 0, 1, 2):
            label = encode(mask, gender, age_band(age))
            rows.append((f"p{number:04d}", mask, gender, age, age_band(age), label))
    return pd.DataFrame(rows, columns=["group", "mask", "gender", "age", "age_band", "label"])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("folds", [2, 5, 7])
def test_a_person_is_on_one_side_only(folds, seed):
    table = made_up(97)
    for fold in range(folds):
        train, validation = split(table, fold, folds, seed)
        assert not set(train["group"]) & set(validation["group"])
        assert len(train) + len(validation) == len(table)
        assert len(validation)


def test_folds_cover_everyone_once_and_look_alike():
    table = made_up(450)
    fold = fold_of(table, 5, 0)
    assert sorted(fold.unique()) == [0, 1, 2, 3, 4]
    counts = pd.crosstab(fold, [table["gender"], table["age_band"]])
    assert (counts.max() - counts.min() <= 7).all()  # at most one person, seven photos
    assert all(absent_classes(table[fold == number], FACE_MASK) == [] for number in range(5))


def test_split_depends_on_seed_and_people_alone():
    table = made_up(60)
    fold = fold_of(table, 5, 1)
    shuffled = table.sample(frac=1, random_state=3)
    pd.testing.assert_series_equal(fold_of(shuffled, 5, 1).sort_index(), fold)
    pd.testing.assert_series_equal(fold_of(table, 5, 1), fold)
    assert (fold_of(table, 5, 2) != fold).any()


def test_the_split_of_a_known_set_stays_as_it_is(data):
    people = split(read_train(data).table, 0, 2, 0)[1]["group"].drop_duplicates()
    assert list(people) == [f"{number:06d}" for number in (2, 4, 5, 6, 8, 10, 13)]


def test_absent_classes_are_named():
    table = made_up(60)
    assert absent_classes(table[table["age_band"] < 2], FACE_MASK) == [
        f"{mask} {gender} 60+" for mask in ("wear", "incorrect", "not worn") for gender in ("male", "female")
    ]


def test_groups_smaller_than_the_folds_still_split():
    table = made_up(9)
    assert fold_of(table, 9, 0).nunique() == 9


@pytest.mark.parametrize(("fold", "folds"), [(0, 1), (0, 61), (5, 5), (-1, 5)])
def test_impossible_folds_are_refused(fold, folds):
    with pytest.raises(UsageError, match="fold"):
        split(made_up(60), fold, folds, 0)


def test_a_fraction_takes_people_of_every_group_and_grows_by_the_same_people():
    table = made_up(90)
    small, large = fraction_of(table, 0.2, 0), fraction_of(table, 0.5, 0)
    assert small.groupby("group").size().eq(7).all()
    assert set(small["group"]) < set(large["group"]) < set(table["group"])
    assert absent_classes(small, FACE_MASK) == absent_classes(table, FACE_MASK)
    assert large["group"].nunique() == pytest.approx(45, abs=6)
    assert fraction_of(table, 1.0, 0).equals(table)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("people", "folds"), [(97, 5), (40, 2), (300, 7), (11, 3), (6, 6)])
def test_people_are_dealt_as_scikit_learn_deals_them(people, folds, seed):
    table = made_up(people).sample(frac=1, random_state=seed)
    ones = table.drop_duplicates("group").sort_values("group")
    groups = ones["gender"] * 3 + ones["age_band"]
    kind = StratifiedKFold if groups.value_counts().max() >= folds else KFold
    expected = np.zeros(people, int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of groups with fewer people than folds
        for number, (_, held_out) in enumerate(
            kind(folds, shuffle=True, random_state=seed).split(groups, groups)
        ):
            expected[held_out] = number
    dealt = fold_of(table, folds, seed).groupby(table["group"]).first().sort_index()
    assert list(dealt) == list(expected)


def groups_with(labels_of: list[list[int]]) -> pd.DataFrame:
    """DataFrame of photos: one of each label in the list of each group."""
    rows = [(f"g{number:05d}", label) for number, labels in enumerate(labels_of) for label in labels]
    return pd.DataFrame(rows, columns=["group", "label"])


def mixed(groups: int, classes: int, seed: int = 0) -> pd.DataFrame:
    """Groups of one to eight photos of several of the classes, of which the last are rare."""
    rng = np.random.default_rng(seed)
    chances = np.linspace(1, 0.1, classes)
    sizes = rng.integers(1, 9, groups)
    return groups_with([list(rng.choice(classes, size, p=chances / chances.sum())) for size in sizes])


def unevenness(table: pd.DataFrame, fold: pd.Series | np.ndarray, folds: int) -> float:
    """The mean over classes and folds of how far a class's fraction in the fold is from 1 / folds."""
    counts = pd.crosstab(table["label"], np.asarray(fold)).reindex(columns=range(folds), fill_value=0)
    return float((counts.div(counts.sum(axis=1), axis=0) - 1 / folds).abs().to_numpy().mean())


@pytest.mark.parametrize(("classes", "folds"), [(2, 5), (6, 3), (40, 5), (300, 5)])
def test_groups_of_several_labels_stay_whole(classes, folds):
    table = mixed(200, classes)
    fold = fold_of(table, folds, 0)
    assert fold.groupby(table["group"]).nunique().max() == 1
    assert sorted(fold.unique()) == list(range(folds))
    pd.testing.assert_series_equal(fold_of(table.sample(frac=1, random_state=1), folds, 0).sort_index(), fold)
    assert (fold_of(table, folds, 1) != fold).any()


@pytest.mark.parametrize(("groups", "classes", "folds"), [(60, 4, 3), (150, 10, 5), (300, 40, 5)])
def test_they_are_balanced_as_well_as_scikit_learn_balances_them(groups, classes, folds):
    """In the mean over seeds; single photos at random would be far less even."""
    ours, theirs, random = [], [], []
    for seed in range(8):
        table = mixed(groups, classes, seed)
        ours.append(unevenness(table, fold_of(table, folds, seed), folds))
        expected = np.zeros(len(table), int)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of classes with fewer photos than folds
            splits = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(
                table, table["label"], table["group"]
            )
        for number, (_, held_out) in enumerate(splits):
            expected[held_out] = number
        theirs.append(unevenness(table, expected, folds))
        by_group = np.random.default_rng(seed).integers(0, folds, groups)
        random.append(unevenness(table, by_group[table["group"].str[1:].astype(int)], folds))
    assert np.mean(ours) < 1.05 * np.mean(theirs)
    assert np.mean(ours) < 0.7 * np.mean(random)


@pytest.mark.parametrize("classes", [2, 40, 300])
def test_groups_of_one_label_are_dealt_evenly_for_any_number_of_classes(classes):
    table = groups_with([[number % classes] * 3 for number in range(5 * classes)])
    counts = pd.crosstab(table["label"], fold_of(table, 5, 0))
    assert (counts == 3).all().all()


@pytest.mark.parametrize("large", [6, 8, 10])
def test_a_few_groups_that_hold_most_photos_are_dealt_evenly(large):
    """Of a hundred groups; as strata their photos would be in a fold or two."""
    labels = [[number % 2] * (60 if number < large else 4) for number in range(100)]
    table = groups_with(labels)
    for seed in range(4):
        counts = pd.crosstab(table["label"], fold_of(table, 5, seed))
        fractions = counts.div(counts.sum(axis=1), axis=0)
        assert fractions.stack().between(0.17, 0.23).all()


def test_photos_without_groups_are_stratified_by_class():
    labels = [0] * 90 + [1] * 12 + [2] * 5
    counts = pd.crosstab(
        np.array(labels), fold_of(groups_with([[label] for label in labels]), 5, 0).to_numpy()
    )
    assert counts.shape == (3, 5)
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()


def test_a_class_of_few_groups_is_in_as_many_folds():
    labels = [[0]] * 60 + [[1]] * 60 + [[2]] * 2 + [[3]] * 3
    fold = fold_of(table := groups_with(labels), 5, 0)
    assert [fold[table["label"] == label].nunique() for label in range(4)] == [5, 5, 2, 3]
    few = groups_with([[label] for label in range(30) for _ in range(3)])  # of every class
    fold = fold_of(few, 5, 0)
    assert (fold.groupby(few["label"]).nunique() == 3).all()
    assert fold.value_counts().between(16, 20).all()


def test_the_balance_of_folds_is_a_row_for_each_class():
    task = Task("photos", ("a", "b", "c"))
    parts = balance(groups_with([[0]] * 10 + [[1]] * 5), 5, 0, task)
    assert list(parts.index) == ["a", "b", "c"] and list(parts.columns) == list(range(5))
    assert parts.loc["a"].tolist() == pytest.approx([0.2] * 5)
    assert parts.loc["c"].tolist() == [0] * 5  # no photo of it


@pytest.mark.parametrize("seed", range(3))
def test_a_fraction_of_groups_of_several_labels_is_one_and_has_every_class(seed):
    table = mixed(200, 12, seed)
    kept = [fraction_of(table, fraction, seed) for fraction in (0.02, 0.2, 0.5, 0.9, 1.0)]
    sets = [set(part["group"]) for part in kept]
    assert all(small <= large for small, large in itertools.pairwise(sets))
    assert [len(groups) for groups in sets[1:]] == [40, 100, 180, 200]
    assert 4 <= len(sets[0]) <= 12  # as many as have every class together
    assert all(set(part["label"]) == set(table["label"]) for part in kept)
    assert all(
        part.equals(table[table["group"].isin(groups)]) for part, groups in zip(kept, sets, strict=True)
    )


@pytest.mark.slow
def test_many_groups_are_dealt_in_seconds():
    table = mixed(20_000, 40)
    began = time.process_time()  # not the clock's: other programs run beside
    fold_of(table, 5, 0)
    assert time.process_time() - began < 20
