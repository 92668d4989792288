"""chosen.csv: what a search writes is what is read."""

import pytest

from tuners.chosen import CHOSEN_CSV, Chosen, read_chosen, write_chosen

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
        assert read_chosen(tmp_path) == rows
        assert [path.name for path in tmp_path.iterdir()] == [CHOSEN_CSV]


def test_a_search_by_another_tuner_has_none(tmp_path):
    assert read_chosen(tmp_path) == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace(",why", ""), "it has no column 'why'"),
        (lambda text: text[:-1], "it is cut short"),
        (lambda text: text[: text.rindex(",")] + "\n", "a row is cut short"),
        (lambda text: text.replace("start-up,", "start-up,x"), "could not convert string to float: 'x'"),
        (lambda text: f"{text}{'x' * 200_000}\n", "field larger than field limit"),
        (lambda text: "a\nb\n", "it has no column 'number'"),
    ],
)
def test_a_damaged_file(tmp_path, damage, message):
    write_chosen(tmp_path, ROWS)
    path = tmp_path / CHOSEN_CSV
    path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match=message):
        read_chosen(tmp_path)
