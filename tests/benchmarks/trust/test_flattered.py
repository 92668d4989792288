"""The benchmark of splits by photo: who is on both sides, and what is scored."""

import pytest

from benchmarks.trust import flattered
from dataset.read import read_eval, read_train
from tests.conftest import TINY


def test_people_are_on_both_sides_only_if_photos_are_dealt(people):
    table = read_train(people).table
    train, held = flattered.sides(table, flattered.BY_GROUP, 0, 5, 0)
    assert not set(train["group"]) & set(held["group"])
    assert train["group"].nunique() + held["group"].nunique() in (10, 11, 12)
    mixed, apart = flattered.sides(table, flattered.BY_PHOTO, 0, 5, 0)
    assert len(mixed) + len(apart) == len(train) + len(held) and not set(mixed["photo"]) & set(apart["photo"])
    assert len(set(apart["group"]) & set(mixed["group"])) > 0.8 * apart["group"].nunique()


def test_a_network_is_scored_on_both(people, monkeypatch):
    monkeypatch.setattr(flattered, "NETWORK", TINY)
    photos = read_eval(people)
    found = flattered.scores(
        people, flattered.BY_PHOTO, 0, photos, read_train(people).table["label"].to_numpy()[: len(photos)]
    )
    assert len(found) == 2 and all(0 <= one <= 1 for one in found)
    assert flattered.scores(people, flattered.BY_PHOTO, 0, photos, None) == pytest.approx(found[:1])
