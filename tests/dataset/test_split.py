import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold, StratifiedKFold

from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK, age_band, encode
from dataset.read import read_train
from dataset.split import absent_classes, fold_of, fraction_of, split


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
