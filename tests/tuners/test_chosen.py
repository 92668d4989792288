"""chosen.csv: what a search writes is what analysis reads. And what other packages have a copy of, as they do
not import tuners, is the same there."""

import pytest
from optuna.trial import TrialState

from analysis.trials import chosen as read
from analysis.trials.chosen import read_chosen
from common.errors import UsageError
from experiments import plan
from experiments.checks import space
from experiments.machines import remote
from tests.tuners.read_back import read_back
from trial.run_folder import status
from tuners import chosen as written
from tuners import reports, trials
from tuners.chosen import CHOSEN_CSV, Chosen, write_chosen
from tuners.model import curves
from tuners.spaces.default_point import middle_of

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
        for ours, theirs in zip(rows, read_chosen(tmp_path), strict=True):
            for name in theirs._fields:
                assert getattr(ours, name) == getattr(theirs, name)
        assert [path.name for path in tmp_path.iterdir()] == [CHOSEN_CSV]


def test_a_search_by_another_tuner_has_none(tmp_path):
    assert read_chosen(tmp_path) == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace(",why", ""), "'why'"),
        (lambda text: text[:-1], "it is cut short"),
        (lambda text: text[: text.rindex(",")] + "\n", "a row is cut short"),
        (lambda text: text.replace("start-up,", "start-up,x"), "could not convert string to float: 'x'"),
        (lambda text: f"{text}{'x' * 200_000}\n", "field larger than field limit"),
        (lambda text: "a\nb\n", "'trial'"),
    ],
)
def test_a_damaged_file(tmp_path, damage, message):
    write_chosen(tmp_path, ROWS)
    path = tmp_path / CHOSEN_CSV
    path.write_text(damage(path.read_text()))
    with pytest.raises(UsageError, match=rf"chosen\.csv: is damaged \(.*{message}"):
        read_chosen(tmp_path)


def test_copies_elsewhere_are_the_same():
    for name in ("CHOSEN_CSV", "CAN_NOT_WIN", "RUNNING", "PAUSED"):
        assert getattr(read, name) == getattr(written, name)
    assert {*read.OTHERS, "model"} == set(written.BY)
    assert TrialState.FAIL.name.lower() == read.FAIL
    assert status.INTERRUPTED == trials.INTERRUPTED
    assert plan.STINTS == curves.STINTS
    assert remote.MACHINES == reports.MACHINES
    for kind, values in (
        ("normal", [0.3, 0.1]), ("lognormal", [-3, 1]), ("qnormal", [5, 2, 0.5]), ("qlognormal", [1, 0.5, 0.25]),
    ):  # fmt: skip
        assert space.normal_middle(kind, values) == pytest.approx(middle_of(kind, values))
