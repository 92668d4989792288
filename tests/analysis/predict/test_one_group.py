"""The photos of one group together."""

import numpy as np
import pandas as pd
import pytest

from analysis.predict.one_group import combine_photos, groups_to_answer, shared_axes
from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK
from dataset.task import Task
from tests.analysis.trust.drawn_answers import drawn
from trial.metrics import score

PETS = Task("pets", ("cat", "dog"), group="owner", groups="owners")


def test_a_persons_photos_share_gender_and_age_but_not_the_mask():
    _, labels, groups = drawn(40)
    assert shared_axes(FACE_MASK, labels, groups) == (1, 2)
    labels[7] = (labels[7] + 1) % 18  # one wrong label
    assert shared_axes(FACE_MASK, labels, groups) == (1, 2)
    assert shared_axes(FACE_MASK, labels, np.arange(len(labels)).astype(str)) == ()
    assert shared_axes(PETS, np.array([0, 0, 1, 1]), np.array(list("aabb"))) == (0,)
    assert shared_axes(PETS, np.array([0, 1, 1, 0]), np.array(list("aabb"))) == ()


def test_what_is_shared_becomes_the_mean_and_the_rest_stays():
    (probabilities,), labels, groups = drawn(30, noise=2.0)
    found = combine_photos(probabilities, groups, FACE_MASK, (1, 2))
    before, after = (one.reshape(-1, 3, 6) for one in (probabilities, found))
    assert found.sum(1) == pytest.approx(1)
    first = groups == groups[0]
    assert after[first].sum(1) == pytest.approx(np.tile(before[first].sum(1).mean(0), (7, 1)), abs=1e-5)
    likely = before.sum(1, keepdims=True).repeat(3, 1) > 1e-3  # smaller ones hang on the smallest probability
    given_before, given_after = (one / one.sum(1, keepdims=True) for one in (before, after))
    assert given_after[likely] == pytest.approx(given_before[likely], abs=1e-3)
    plain, together = (score(labels, one.argmax(1), 18).accuracy for one in (probabilities, found))
    assert together > plain


def test_a_photo_without_a_group_or_alone_stays_as_it_is():
    (probabilities,), _, _ = drawn(2)
    for groups in (np.full(14, ""), np.arange(14).astype(str)):
        assert combine_photos(probabilities, groups, FACE_MASK, (1, 2)) == pytest.approx(
            probabilities, abs=1e-5
        )


def test_photos_that_do_not_say_whose_they_are_are_refused():
    alone = pd.DataFrame({"photo": ["a", "b"], "group": ["a", "b"]})
    for photos in (alone[["photo"]], alone, alone.assign(group="")):
        with pytest.raises(UsageError, match="input do not say which of them are of the same owner"):
            groups_to_answer(photos, PETS, "input")
    assert groups_to_answer(alone.assign(group="x"), PETS, "input").tolist() == ["x", "x"]
