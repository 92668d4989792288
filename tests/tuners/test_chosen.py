"""chosen.csv: what is written is read, without NNI and Optuna."""

import subprocess
import sys

import pytest

from common.machine import PROJECT
from tuners.chosen import CHOSEN_CSV, Chosen, read_chosen, write_chosen
from tuners.errors import UsageError

ROWS = [
    Chosen(0, 0, "AbCdE", "default", state="complete", score=0.1 + 0.2, epochs=3),
    Chosen(1, 3, "", "model", 0.01, 0.5, 0.05),
    Chosen(2, 4, "x", "start-up", state="pruned", epochs=2, why='can\'t win, "at most" .5'),
    Chosen(3, None, "", "imported", state="complete", score=1.0),
]


def test_what_is_written_is_read(tmp_path):
    write_chosen(tmp_path, ROWS)
    assert read_chosen(tmp_path) == ROWS
    write_chosen(tmp_path, ROWS[:1])
    assert read_chosen(tmp_path) == ROWS[:1]


def test_a_search_by_another_tuner_has_none(tmp_path):
    assert read_chosen(tmp_path) == []


@pytest.mark.parametrize("text", ["number,why\n0,\n", "a\nb\n"])
def test_a_damaged_file(tmp_path, text):
    (tmp_path / CHOSEN_CSV).write_text(text)
    with pytest.raises(UsageError, match=r"chosen\.csv: is damaged"):
        read_chosen(tmp_path)


def test_it_is_read_without_nni_and_optuna():
    script = "import sys, tuners.chosen; sys.exit(bool({'nni', 'optuna', 'numpy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", script], cwd=PROJECT).returncode == 0
