"""Real photos in the competition's layout, if they are available beside the checkout."""

import pytest

from dataset.read import read_eval, read_train
from dataset.split import absent_classes, split

pytestmark = pytest.mark.shared


def test_real_photos_are_read_and_split_by_person(standin):
    table = read_train(standin)
    assert (len(table), table["person"].nunique(), table["label"].nunique()) == (6307, 901, 18)
    assert len(read_eval(standin)) == 2793
    for fold in range(5):
        train, validation = split(table, fold, 5, 0)
        assert not set(train["person"]) & set(validation["person"])
        assert absent_classes(train) == absent_classes(validation) == []
