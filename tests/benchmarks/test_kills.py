"""A small search survives a few kills at random moments: nothing lost, doubled or left behind. `make kills`: 60 of them."""

import json

import pytest

from benchmarks.kills.__main__ import RESULT, kills
from benchmarks.kills.count import Counts


@pytest.mark.server
@pytest.mark.slow
def test_a_search_survives_kills(tmp_path):
    total = kills(3, seed=0, out=tmp_path)
    assert len(total.kills) >= 3
    assert total.faults == 0, total
    assert total.finished >= 3


def test_no_fault_is_given_with_what_it_excludes():
    assert "less than 5.0 % of kills" in Counts(["all SIGKILL"] * 60).line()
    assert "of kills (95 %)" not in Counts(["all SIGKILL"] * 60, orphaned=1).line()


def test_searches_that_were_counted_are_not_run_again(tmp_path, capsys):
    counted = {"kills": ["all SIGKILL"] * 4, "half": 3, "finished": 5, "lost": ["a trial"], "again": 2}
    for number in (0, 1):
        folder = tmp_path / "seed3" / f"search{number}"
        folder.mkdir(parents=True)
        (folder / RESULT).write_text(json.dumps(counted))
    (tmp_path / "seed3" / "people").mkdir()
    total = kills(8, seed=3, out=tmp_path)
    assert total == Counts(["all SIGKILL"] * 8, 6, 10, ["a trial"] * 2, again=4)
    assert total.faults == 2
    assert json.loads((tmp_path / "seed3" / RESULT).read_text())["again"] == 4
    assert (
        "8 kills, 6 trials half-done at them, 10 finished: 2 lost, 0 doubled, 0 processes orphaned"
        in total.line()
    )
