"""chosen.csv: what a search writes is what analysis reads."""

import pytest

from analysis.trials.chosen import read_chosen
from common.errors import UsageError
from tests.tuners.read_back import read_back
from tuners.chosen import CHOSEN_CSV, Chosen, write_chosen

ROWS = [
    Chosen(0, 0, "AbCdE", "default", state="complete", score=0.1 + 0.2, epochs=3),
    Chosen(1, 3, "", "model", 0.01, 0.5, 0.05),
    Chosen(2, 4, "x", "start-up", state="pruned", epochs=2, why='can\'t win, "at most" .5'),
    Chosen(4, 7, "y", "model", state="paused", epochs=2, went_on=1, why="paused after epoch 2 of 8: ..."),
    Chosen(3, None, "", "imported", state="complete", score=1.0),
]


def test_what_is_written_is_read(tmp_path):
    for rows in (ROWS, ROWS[:1]):
        write_chosen(tmp_path, rows)
        assert read_back(tmp_path) == rows
        read = read_chosen(tmp_path)
        for ours, theirs in zip(rows, read, strict=True):
            for name in theirs._fields:
                assert getattr(ours, name) == getattr(theirs, name)
        assert [path.name for path in tmp_path.iterdir()] == [CHOSEN_CSV]


def test_a_search_by_another_tuner_has_none(tmp_path):
    assert read_chosen(tmp_path) == []


@pytest.mark.parametrize("text", ["trial,chosen_by,expected_improvement,why\na,b,c,d\n", "a\nb\n"])
def test_a_damaged_file(tmp_path, text):
    (tmp_path / CHOSEN_CSV).write_text(text)
    with pytest.raises(UsageError, match=r"chosen\.csv: is damaged"):
        read_chosen(tmp_path)
