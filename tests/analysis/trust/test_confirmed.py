"""The judgement on leaders by further folds, and its file."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.trust.answers import answers_of, counts_of, joined, read_all
from analysis.trust.bootstrap import Interval
from analysis.trust.confirmed import (
    FILE,
    Confirmed,
    Leader,
    folder_of,
    judge,
    known_of,
    read_confirmed,
    staying,
)
from analysis.trust.selection import Selection
from tests.analysis.fake_run import untrained
from tests.analysis.trust.test_answers import predictions
from tests.analysis.trust.test_leaders import run
from trial.run_folder.record import RunFolder

SOME = Interval(0.5, 0.4, 0.6, 0.05, 20)


def interval(low, high):
    return Interval((low + high) / 2, low, high, 0.01, 20)


def confirmed(*gaps):
    leaders = [Leader(f"t{number}", SOME, 2, gap) for number, gap in enumerate((None, *gaps))]
    return Confirmed("macro_f1", tuple(leaders), SOME, 0.01, ((0, 1), (0, 2)), 4, 12.5)


def test_what_is_written_is_read_again_and_says_who_is_equal(tmp_path):
    known = confirmed(interval(-0.1, 0.1), interval(-0.2, -0.1))
    (tmp_path / "confirm").mkdir()
    known.write(tmp_path / "confirm")
    assert read_confirmed(tmp_path / "confirm") == known
    assert (known.equal, known.behind) == (("t1",), ("t2",))
    assert known_of([tmp_path / "t1", tmp_path / "t0"], "macro_f1") == (known, "")
    assert known_of([tmp_path / "t1", tmp_path / "t0"], "accuracy")[0] is None
    assert known_of([tmp_path / "t1"], "macro_f1")[0] is None  # the winner is gone
    assert read_confirmed(tmp_path) is None


def test_a_result_does_not_hold_for_another_recipe_that_took_the_name_of_a_leader(tmp_path):
    for name in ("t0", "t1"):
        untrained(tmp_path / name)
        path = tmp_path / name / "config.json"
        steps = [{"_name": "Affine", "rotate": [-5, 5]}]  # a list in the file, read as a tuple
        path.write_text(json.dumps(json.loads(path.read_text()) | {"augment": steps}))
    runs = [tmp_path / "t0", tmp_path / "t1"]
    leaders = [Leader(run.name, SOME, 1, None, RunFolder(run).config().recipe()) for run in runs]
    known = replace(confirmed(), leaders=tuple(leaders))
    (tmp_path / "confirm").mkdir()
    known.write(tmp_path / "confirm")
    found, why = known_of(runs, "macro_f1")
    assert (found, why) == (read_confirmed(tmp_path / "confirm"), "")
    assert confirmed_by_name(found) == confirmed_by_name(known)
    path = tmp_path / "t1" / "config.json"
    good = path.read_text()
    path.write_text(json.dumps(json.loads(good) | {"learning_rate": 0.1}))
    assert known_of(runs, "macro_f1", ["t0", "t1"])[1].startswith("the search has other leaders")
    of_before = json.loads((tmp_path / "confirm" / FILE).read_text())
    for one in of_before["leaders"]:
        del one["recipe"]  # a file of an earlier version
    (tmp_path / "confirm" / FILE).write_text(json.dumps(of_before))
    assert known_of(runs, "macro_f1")[0] == confirmed_by_name(known)


def confirmed_by_name(known):
    return replace(known, leaders=tuple(replace(one, recipe={}) for one in known.leaders))


def test_there_is_no_note_if_only_a_part_of_the_search_is_ranked(tmp_path):
    (tmp_path / "confirm").mkdir()
    confirmed(interval(-0.1, 0.1)).write(tmp_path / "confirm")
    for name in ("t0", "t1"):
        (tmp_path / name).mkdir()
    assert known_of([tmp_path / "t1"], "macro_f1", ["t1"]) == (None, "")
    assert known_of([tmp_path / "t1"], "macro_f1", ["t0", "t1"])[1].startswith("the search has other")


def test_runs_of_an_experiment_are_confirmed_beside_its_trials(tmp_path):
    assert folder_of(tmp_path / "abc" / "trials" / "t") == tmp_path / "abc" / "confirm"
    assert folder_of(tmp_path / "runs" / "t") == tmp_path / "runs" / "confirm"


def test_leaders_are_judged_by_the_people_of_all_rounds_and_their_mean_curve(tmp_path):
    rising, falling = (0.1, 0.2, 0.3), (0.3, 0.2, 0.1)
    one = [run(tmp_path / f"one{n}", n, 20 + n, rising) for n in (0, 1)]
    other = [run(tmp_path / f"other{n}", 5 + n, 20 + n, falling[:2]) for n in (0, 1)]
    found, scores = judge([one, other], "macro_f1")
    assert found.winner == 0  # (.2 + 2 * .3) / 3 against (2 * .3 + .2) / 3: of equals the first
    assert scores[0].n_groups == 21  # 20 of them are in both rounds
    pooled = counts_of([joined(read_all(own)) for own in (one, other)])
    assert pooled.truth.sum() == 2 * 20 + 2 * 21
    twice = pd.concat([predictions(20, 0), predictions(21, 1)], ignore_index=True)
    labels = twice["label"].to_numpy()
    np.testing.assert_array_equal(pooled.truth.sum(0), np.bincount(labels, minlength=18))
    given = twice.filter(regex="p..$").to_numpy().argmax(1)
    np.testing.assert_array_equal(pooled.hits.sum(0)[0], np.bincount(given[given == labels], minlength=18))


def test_the_round_that_patience_ended_first_counts_in_the_epochs_after_it(tmp_path):
    """Else a leader would be judged late by the rounds that still rose."""
    short, long = (0.1, 0.5, 0.3), (0.1, 0.2, 0.2, 0.5, 0.5, 0.5)
    one = [run(tmp_path / f"one{n}", n, 20, scores) for n, scores in enumerate((short, long))]
    other = [run(tmp_path / f"other{n}", 5 + n, 20, (0.4, 0.45, 0.45)) for n in (0, 1)]
    found, (own, _) = judge([one, other], "macro_f1")
    assert found.winner == 1  # at the end the first one is .1 below its score, not at it
    alone, _ = judge([one], "macro_f1")
    assert alone.promise.value + alone.flattered == pytest.approx(own.value - 0.1)


def test_answers_without_probabilities_are_joined_as_well():
    table = predictions().rename(columns={"person": "group"})
    answers = replace(answers_of(table, "a"), log_probability=None)
    both = joined([answers, answers])
    assert both.log_probability is None
    assert len(both.photos) == 2 * len(table)


def test_who_is_not_behind_stays():
    gaps = (interval(-0.1, 0.01), interval(-0.2, -0.1), interval(0, 0), interval(0.1, 0.2))
    found = Selection(2, SOME, 0.0, (0,), gaps, np.ones(4), (2, 0, 1, 3))
    assert staying(found) == [2, 0, 3]
