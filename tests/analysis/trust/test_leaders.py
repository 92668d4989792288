"""The leaders of a search: what is said of them, and what of runs that do not belong together."""

from dataclasses import replace

import pytest

from analysis.trust.answers import counts_of, read_answers
from analysis.trust.bootstrap import Interval, intervals
from analysis.trust.confirmed import Confirmed, Leader
from analysis.trust.curves import curves_of
from analysis.trust.leaders import leaders_of, promise_facts, promise_words, promised_words
from analysis.trust.selection import select
from tests.analysis.fake_run import untrained
from tests.analysis.trust.test_answers import predictions


def run(folder, seed, people=20, scores=(0.1, 0.2, 0.2)):
    untrained(folder, seed, predictions(people, seed))
    rows = [f"{epoch},{score},0" for epoch, score in enumerate(scores, 1)]
    (folder / "epochs.csv").write_text("\n".join(["epoch,macro_f1,fold", *rows]) + "\n")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [
        run(folder / str(seed), seed, scores=(0.1, 0.3 - 0.01 * seed, 0.3 - 0.01 * seed)) for seed in range(4)
    ]


def test_leaders_have_intervals_and_the_first_one_a_promise(runs):
    found = leaders_of(runs, "macro_f1")
    assert found.notes == ()
    assert list(found.intervals) == runs
    (alone,) = intervals(counts_of([read_answers(runs[2])]), "macro_f1")
    assert found.intervals[runs[2]].low == pytest.approx(alone.low, abs=1e-5)  # float32, in another order
    alone = select(counts_of([read_answers(run) for run in runs]), "macro_f1", curves_of(runs, "macro_f1"))
    assert found.selection.promise == alone.promise
    assert found.equal == [runs[one] for one in alone.equal]
    facts = found.facts()
    assert facts["promise"]["macro_f1"] == round(alone.promise.value, 4)
    assert facts["promise"]["chosen_from"] == 4
    assert facts["equal_within_noise"] == [one.name for one in found.equal]
    words = promise_words(found, {one: 7 + number for number, one in enumerate(runs)}, "people")
    assert words.startswith("Promise of the best one on new people: macro-F1 ")
    assert "the best of 4 trials" in words
    assert "On these 20 people it is not significantly different from #8, #9, #10." in words


def test_what_confirmed_leaders_promise_is_said_of_the_choice_among_them(runs):
    some = Interval(0.5, 0.4, 0.6, 0.05, 20)
    known = [Leader(run.name, some, 2, None if run == runs[0] else some) for run in runs[:2]]
    confirmed = Confirmed("macro_f1", tuple(known), some, 0.01, ((0, 1), (0, 2)), 4, 12.5)
    promise = replace(leaders_of(runs, "macro_f1"), confirmed=confirmed).facts()["promise"]
    words = promised_words(promise, "macro_f1", "people")
    assert words.endswith("corrected from 0.510 for the choice of the best of 2 leaders on 2 further folds")
    less = promised_words(promise | {"lowered_by": 0.0004, "lowered_for": "--tta flip"}, "macro_f1", "people")
    assert less.endswith(", and by 0.0004 that --tta flip loses on validation people"), "not 0.000"


def test_runs_of_other_people_and_damaged_ones_are_set_apart(runs, tmp_path):
    other = run(tmp_path / "other", 9, people=22)
    damaged = run(tmp_path / "damaged", 9)
    (damaged / "validation.parquet").write_bytes(b"PAR1")
    found = leaders_of([runs[0], other, damaged, runs[1]], "macro_f1")
    assert list(found.intervals) == [runs[0], runs[1], other]
    assert found.intervals[other].n_groups == 22
    assert found.compared == (runs[0], runs[1])
    first, second = found.notes
    assert f"validation answers: {damaged / 'validation.parquet'}: is damaged" in first
    assert second.startswith("1 of the first 4 trials were validated on other photos than the first one")


def test_one_run_alone_promises_its_score_corrected_for_the_choice_of_its_epoch(runs):
    found = leaders_of(runs[:1], "macro_f1")
    alone = select(counts_of([read_answers(runs[0])]), "macro_f1", curves_of(runs[:1], "macro_f1"))
    assert found.selection is not None and found.selection.promise == alone.promise
    assert (found.equal, found.chosen_from) == ([], 1)
    facts = promise_facts(runs[0], "macro_f1")
    assert facts == {"promise": found.facts()["promise"]} and facts["promise"]["chosen_from"] == 1
    assert promise_words(found, {}, "people").startswith("Promise on new people: macro-F1 ")
    assert "the best of its epochs" in promise_words(found, {})
    assert promised_words(facts["promise"], "macro_f1", "people").endswith("for the choice of its epoch")
    assert leaders_of([], "macro_f1").intervals == {}


def test_a_run_without_validation_answers_promises_nothing(tmp_path):
    untrained(tmp_path / "all")
    assert promise_facts(tmp_path / "all", "macro_f1") == {}
