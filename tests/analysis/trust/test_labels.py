"""Suspicious labels: of groups where photos share a factor, of photos where they don't."""

import numpy as np
import pandas as pd
import pytest

from analysis.trust.labels import CLASS, label_quality, suspects, values_of
from dataset.face_masks.labels import FACE_MASK, encode
from dataset.task import Task

MASKS = np.array([0, 0, 0, 0, 0, 1, 2])


def answered(people=60, seed=0):
    """(Photos of people, probabilities of a network that is mostly right): gender and age by person, masks by
    photo."""
    rng = np.random.default_rng(seed)
    gender, age = rng.integers(2, size=people), rng.integers(3, size=people)
    mask, row = np.tile(MASKS, people), np.arange(people).repeat(7)
    table = pd.DataFrame(
        {"photo": [f"{n:03d}/{i}" for n in range(people) for i in range(7)], "group": row.astype(str)}
    )
    table["label"] = encode(mask, gender[row], age[row])
    logits = rng.normal(size=(len(table), 18)) + 6 * np.eye(18)[table["label"]]
    return table, np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def relabel(table, rows, **values):
    """The table with other values of factors, by their index, in some rows."""
    now = dict(zip(FACE_MASK.factors, np.unravel_index(table["label"], FACE_MASK.sizes), strict=True))
    for factor, value in values.items():
        now[factor][rows] = value
    return table.assign(label=FACE_MASK.label(now))


def test_wrong_genders_are_peoples_and_wrong_masks_photos():
    table, probabilities = answered()
    people = [7, 20, 33, 41]
    was = np.unravel_index(table["label"], FACE_MASK.sizes)[1]
    wrong = table
    for person in people:
        wrong = relabel(wrong, table["group"] == str(person), gender=1 - was[person * 7])
    photos = [100, 150, 205, 301]
    wrong = relabel(wrong, photos, mask=2)
    found = suspects(FACE_MASK, wrong, probabilities)
    masks, genders = (found[found["factor"] == factor] for factor in ("mask", "gender"))
    assert set(masks["photo"][masks["flagged"]]) <= set(table["photo"][photos]) <= set(masks["photo"])
    assert set(genders["group"][genders["flagged"]]) <= set(map(str, people)) == set(genders["group"])
    assert masks["flagged"].sum() >= 2 and genders["flagged"].sum() >= 2
    one = genders[genders["group"] == "20"].iloc[0]
    names = FACE_MASK.factors["gender"]
    assert (one["recorded"], one["suggested"]) == (names[1 - was[140]], names[was[140]])
    assert (one["photo"], one["agree"], one["photos"]) == ("", 7, 7)
    assert genders["score"].max() < 0.2 < 0.8 < genders["probability"].min()
    assert genders["score"].is_monotonic_increasing
    assert suspects(FACE_MASK, table, probabilities)["flagged"].sum() == 0


def test_what_is_found_does_not_depend_on_the_index_of_the_table():
    """A table of some of the photos keeps the index that these had among all."""
    table, probabilities = answered()
    was = np.unravel_index(table["label"], FACE_MASK.sizes)[1]
    wrong = relabel(relabel(table, [100, 150], mask=2), table["group"] == "20", gender=1 - was[140])
    some = np.flatnonzero(wrong["group"] != "3")
    found = suspects(FACE_MASK, wrong.iloc[some], probabilities[some])
    plain = suspects(FACE_MASK, wrong.iloc[some].reset_index(drop=True), probabilities[some])
    assert {"mask", "gender"} <= set(found["factor"])
    pd.testing.assert_frame_equal(found, plain)


def test_photos_that_contradict_their_group_are_found_whatever_the_network_says():
    table, probabilities = answered()
    was = np.unravel_index(table["label"][21], FACE_MASK.sizes)[2]
    wrong = relabel(table, [21, 22], age_band=(was + 1) % 3)
    found = suspects(FACE_MASK, wrong, probabilities)
    ages = found[found["flagged"] & (found["factor"] == "age_band")]
    assert ages["photo"].tolist() == ["003/0", "003/1"]
    assert set(ages["suggested"]) == {FACE_MASK.factors["age_band"][was]}
    assert ages["agree"].tolist() == [5, 5] and ages["score"].tolist() == [0, 0]


def test_without_factors_the_class_is_audited_by_group_if_groups_share_it():
    task = Task("photos", ("ill", "well"), group="patient", groups="patients")
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "photo": [f"{i:03d}" for i in range(80)],
            "group": np.arange(80) // 4,
            "label": (np.arange(80) // 4) % 2,
        }
    )
    right = 0.7 + 0.2 * rng.random(80)
    probabilities = np.where(table["label"].to_numpy()[:, None] == [0, 1], right[:, None], 1 - right[:, None])
    wrong = table.assign(label=np.where(table["group"] == 5, 0, table["label"]))
    (one,) = suspects(task, wrong, probabilities).itertuples()
    assert (one.factor, one.group, one.photo, one.recorded, one.suggested) == (CLASS, 5, "", "ill", "well")
    alone = suspects(task, wrong.assign(group=wrong["photo"]), probabilities)
    assert sorted(alone["photo"]) == ["020", "021", "022", "023"] and alone["flagged"].any()


def test_values_are_sums_over_the_classes_that_have_them():
    table, probabilities = answered(3)
    mask, gender, age = values_of(FACE_MASK, table["label"].to_numpy(), probabilities)
    assert age.probabilities[4, 2] == pytest.approx(
        sum(probabilities[4, encode(m, g, 2)] for m in range(3) for g in range(2))
    )
    assert mask.recorded.tolist() == np.tile(MASKS, 3).tolist()
    assert gender.probabilities.sum(1) == pytest.approx(1)


def test_one_value_only_has_no_errors_and_a_value_that_is_never_recorded_is_left_out():
    probabilities = np.full((6, 3), 1 / 3)
    assert not label_quality(np.zeros(6, int), probabilities)[1].any()
    score, flagged = label_quality(np.array([0, 0, 0, 2, 2, 2]), probabilities)
    assert score == pytest.approx(0.5) and not flagged.any()
