"""Two runs against each other on the photos that both were validated on."""

import pytest
from typer.testing import CliRunner

from analysis.__main__ import app
from analysis.trust.answers import counts_of, read_answers
from analysis.trust.bootstrap import intervals
from analysis.trust.compare import compare
from common.errors import UsageError
from tests.analysis.fake_run import untrained
from tests.analysis.trust.test_answers import predictions
from trial.metrics import METRICS
from trial.run_folder.predictions import probability_columns


def run(folder, table):
    untrained(folder, 0, table)
    return folder


def told(table, right):
    """The table with the true class of the first `right` photos given all the probability."""
    table = table.copy()
    names = probability_columns(18)
    for row in range(right):
        table.loc[row, names] = 0.0
        table.loc[row, names[table["label"][row]]] = 1.0
    return table


def test_the_difference_is_of_the_people_that_both_were_validated_on(tmp_path):
    one = run(tmp_path / "one", predictions(people=20))
    other = run(tmp_path / "other", predictions(people=24, seed=1))
    found = compare(one, other)
    assert (found.photos, found.alone, found.groups) == (40, (0, 8), "people")
    alone = read_answers(one)
    for metric in METRICS:
        mine, its, gap = found.scores[metric]
        assert mine.value == pytest.approx(intervals(counts_of([alone]), metric)[0].value)
        assert gap.value == pytest.approx(mine.value - its.value)
        assert (gap.n_groups, its.n_groups) == (20, 20)
    assert "left out are 0 photos that only the first, and 8 that only the second" in found.lines()[1]
    backwards = compare(other, one).scores["macro_f1"][2]
    gap = found.scores["macro_f1"][2]
    assert (backwards.low, backwards.high) == pytest.approx((-gap.high, -gap.low), abs=1e-5)


def test_the_command_says_which_is_better_or_that_none_is(tmp_path):
    table = predictions(people=40)
    bad, good = run(tmp_path / "bad", table), run(tmp_path / "good", told(table, 70))
    alike = run(tmp_path / "alike", told(predictions(people=40, seed=2), 2))
    lines = CliRunner().invoke(app, ["compare", str(bad), str(good)]).output.splitlines()
    assert lines[0] == "40 people (80 photos) that both were validated on"
    assert sum(line.endswith("the second is better") for line in lines) == 4
    lines = CliRunner().invoke(app, ["compare", str(good), str(bad)]).output.splitlines()
    assert sum(line.endswith("the first is better") for line in lines) == 4
    lines = CliRunner().invoke(app, ["compare", str(alike), str(bad)]).output.splitlines()
    assert lines[2].startswith("balanced accuracy")
    assert lines[3].endswith("not significantly different")


def test_runs_of_other_people_are_refused(tmp_path):
    one, other = run(tmp_path / "one", predictions()), run(tmp_path / "other", predictions(first=50))
    with pytest.raises(
        UsageError, match=r"other/validation.parquet: has no photo in common with .*one/valid"
    ):
        compare(one, other)
    result = CliRunner().invoke(app, ["compare", str(one), str(tmp_path / "none")])
    assert result.exit_code == 2
