"""Real photos in the competition's layout, if they are available beside the checkout."""

import pytest

from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_eval, read_train
from dataset.split import absent_classes, split

pytestmark = pytest.mark.shared


def test_real_photos_are_read_and_split_by_person(standin):
    table = read_train(standin).table
    assert (len(table), table["group"].nunique(), table["label"].nunique()) == (6307, 901, 18)
    assert len(read_eval(standin)) == 2793
    for fold in range(5):
        train, validation = split(table, fold, 5, 0)
        assert not set(train["group"]) & set(validation["group"])
        assert absent_classes(train, FACE_MASK) == absent_classes(validation, FACE_MASK) == []
