"""Trials that report folds: which are dropped, and that trials that report something else never are."""

import json
import math

import numpy as np
import pytest

from common.machine import PROJECT
from tests.nni_server import TinyExperiment
from tests.tuners.read_back import read_back
from tuners.errors import UsageError

pytest.importorskip("nni")
from nni.assessor import AssessResult
from scipy.stats import wilcoxon

from tuners.folds import FoldTest, WorseOnFolds, fold_scores
from tuners.search import Search

BEST = (0.30, 0.50, 0.20, 0.40, 0.35)  # scores of the folds, which differ in difficulty
FOLDS = {"fold": "all", "fold_order": "one_by_one", "folds": 5}


def means(scores):
    return (np.cumsum(scores) / np.arange(1, len(scores) + 1)).tolist()


def worse(by, folds=5, better_in=()):
    return means([b + by if k in better_in else b - by for k, b in enumerate(BEST[:folds])])


def reason(curve, finished=(means(BEST),), finals=None, **arguments):
    return FoldTest(**arguments).reason(curve, finished, finals or [curve[-1] for curve in finished])


def test_the_score_of_a_fold_follows_from_the_means():
    assert fold_scores(means(BEST)) == pytest.approx(BEST)


@pytest.mark.parametrize("count", range(1, 12))
def test_the_smallest_p_is_that_of_scipy(count):
    """A level just above it can stop a trial after `count` folds; the smallest p itself can't, one fold on."""
    smallest = wilcoxon(-np.arange(1.0, count + 1), alternative="less").pvalue
    assert smallest == pytest.approx(0.5**count)
    if count > 1:
        assert FoldTest(folds=20, p=0.5**count * 1.001).first == count
        assert FoldTest(folds=20, p=0.5**count).first == count + 1


@pytest.mark.parametrize(
    ("folds", "p", "message"),
    [
        (5, 0.05, r"after 4 of 5 folds the smallest possible p is 0.0625; give p above 0.0625, or folds of at least 6,"),
        (5, 0.0625, "p: 0.0625 can't stop a trial before its last fold"),
        (5, 0.01, "at least 8"),
        (2, 0.5, r"the smallest possible p is 0.5; folds of at least 3,"),
        (10, 0.001, "give p above 0.00195312, or folds of at least 11"),
        (1, 0.1, "folds: 1 is not an integer of at least 2"),
        ("5", 0.1, "folds: '5' is not an integer"),
        (5, 0, "p: 0 is not a number above 0 and at most 0.5"),
        (5, 0.6, "p: 0.6 is not a number"),
        (5, "a", "p: 'a' is not a number"),
    ],
)  # fmt: skip
def test_what_could_never_stop_a_trial_is_refused(folds, p, message):
    with pytest.raises(UsageError, match=message):
        FoldTest(folds, p)
    Search()
    with pytest.raises(UsageError, match=message):
        WorseOnFolds(folds, p)


def test_it_is_dropped_after_the_folds_that_show_it():
    assert reason(worse(0.02, 3)) == ""
    assert reason(worse(0.02, 4)) == (
        "can't win after fold 4 of 5: 0.0200 below the same folds of the best finished trial (0.3500), p=0.062"
    )
    assert reason(worse(0.02, 5)) == "", "nothing is left to save"
    assert reason(worse(0.02, 3), p=0.13)
    assert reason(worse(0.02, 4, better_in=[1])) == ""
    assert reason(worse(-0.02, 4)) == ""
    assert reason(means(BEST[:4])) == "", "the same answers"


def test_one_better_fold_of_many_does_not_save_it():
    best = means([0.4] * 10)
    curve = means([0.39, 0.38, 0.37, 0.405, 0.36, 0.35, 0.34])
    assert reason(curve, [best], folds=10, p=0.05).startswith("can't win after fold 7 of 10")
    curve = means([0.39, 0.38, 0.37, 0.9, 0.36, 0.35, 0.34])
    assert reason(curve, [best], folds=10, p=0.3) == "", "better on average"


def test_only_a_trial_that_ran_to_its_end_is_the_best():
    curve = worse(0.02, 4)
    assert reason(curve, []) == ""
    assert reason(curve, [means(BEST)[:4]]) == "", "of four folds"
    assert reason(curve, [worse(0.05), means(BEST), worse(0.04)])
    assert reason(curve, [worse(0.05), worse(0.04)]) == ""


def test_folds_are_paired():
    """A recipe whose folds so far were the difficult ones is not dropped, and the other way round."""
    scores = (0.2, 0.1, 0.3, 0.1, 0.9)
    assert reason(means([0.21, 0.11, 0.31, 0.11]), [means(scores)]) == ""
    assert reason(means([0.19, 0.09, 0.29, 0.09]), [means(scores)])


# With the search


SPACE = {"lr": {"_type": "loguniform", "_value": [0.0001, 0.01]}}


def search():
    made = Search(seed=0)
    made.update_search_space(SPACE)
    return made


def begin(fake, made, number, config=FOLDS):
    point = made.generate_parameters(number)
    fake.begin(f"t{number}", number, point)
    (fake.folder / "trials" / f"t{number}").mkdir()
    (fake.folder / "trials" / f"t{number}" / "config.json").write_text(json.dumps(config))


def play(fake, made, assessor, number, curve, config=FOLDS):
    """Whether the trial was dropped, after how many reports."""
    begin(fake, made, number, config)
    for done, value in enumerate(curve, 1):
        fake.report(f"t{number}", value, first=done - 1)
        history = [{"default": value} for value in curve[:done]]
        if assessor.assess_trial(f"t{number}", history) is AssessResult.Bad:
            fake.event(f"t{number}", "EARLY_STOPPED")
            assessor.trial_end(f"t{number}", False)
            made.trial_end(number, False)
            return done
    fake.result(f"t{number}", curve[-1])
    fake.event(f"t{number}", "SUCCEEDED")
    assessor.trial_end(f"t{number}", True)
    made.receive_trial_result(number, None, curve[-1])
    made.trial_end(number, True)
    return 0


def test_a_dropped_trial_is_told_with_its_folds_and_is_never_the_best(fake):
    made = search()
    assessor = WorseOnFolds()
    assert play(fake, made, assessor, 0, means(BEST)) == 0
    assert play(fake, made, assessor, 1, worse(0.01)) == 4
    assert play(fake, made, assessor, 2, worse(0.005)) == 4
    row = read_back(fake.folder)[1]
    assert (row.state, row.epochs) == ("pruned", 4)
    assert row.why.startswith("can't win after fold 4 of 5: 0.0100 below")
    assert made.study.trials[1].intermediate_values == pytest.approx(dict(enumerate(worse(0.01, 4))))


def test_after_a_restart_it_knows_the_best(fake):
    from tuners.study import journal_of

    made = search()
    play(fake, made, WorseOnFolds(), 0, means(BEST))
    journal_of(made.study).close()
    made = search()
    assert play(fake, made, WorseOnFolds(), 1, worse(0.01)) == 4


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**FOLDS, "fold": 0, "fold_order": "lockstep"}, "fold=0, not all; fold_order=lockstep, not one_by_one"),
        ({**FOLDS, "fold_order": "lockstep"}, "its config.json has fold_order=lockstep, not one_by_one"),
        ({**FOLDS, "folds": 10}, "its config.json has folds=10, not 5"),
        ([], "is not a recipe"),
    ],
)  # fmt: skip
def test_epochs_are_not_taken_for_folds(fake, caplog, config, message):
    made = search()
    assessor = WorseOnFolds()
    play(fake, made, assessor, 0, means(BEST))
    assert play(fake, made, assessor, 1, worse(0.01), config) == 0
    assert caplog.text.count(message) == 1


def test_a_trial_without_a_config_is_not_dropped(fake, caplog):
    made = search()
    assessor = WorseOnFolds()
    play(fake, made, assessor, 0, means(BEST))
    assert assessor.assess_trial("gone", worse(0.01, 4)) is AssessResult.Good
    assert "can't be read" in caplog.text
    assert assessor.assess_trial("t0", [0.1, math.nan, 0.1, 0.1]) is AssessResult.Good


def test_it_needs_a_search(monkeypatch):
    monkeypatch.setattr(Search, "latest", None)
    with pytest.raises(UsageError, match="works with the tuner"):
        WorseOnFolds()


TRIAL = """
import json, os
import nni
x = nni.get_next_parameter()["x"]
with open(os.path.join(os.environ["NNI_OUTPUT_DIR"], "config.json"), "w") as file:
    json.dump({"fold": "all", "fold_order": "one_by_one", "folds": 4}, file)
total = 0
for fold in range(4):
    total += x + (0.1, 0.3, 0.2, 0)[fold]
    nni.report_intermediate_result({"default": total / (fold + 1), "loss": 1.0})
    import time; time.sleep(1)
nni.report_final_result(total / 4)
"""


@pytest.mark.server
@pytest.mark.slow
def test_through_nni(tmp_path):
    """The default (.5) is the first; of the known good ones .2 is dropped after three folds, .8 is not."""
    tuner = f'{{className: tuners.search.Search, codeDirectory: "{PROJECT}", classArgs: {{first: [{{x: 0.2}}, {{x: 0.8}}]}}}}'
    more = f'assessor: {{className: tuners.folds.WorseOnFolds, codeDirectory: "{PROJECT}", classArgs: {{folds: 4, p: 0.15}}}}'
    tiny = TinyExperiment.write(tmp_path, 3, tuner, more)
    yaml = tmp_path / "tiny.yaml"
    yaml.write_text(yaml.read_text().replace("trialConcurrency: 2", "trialConcurrency: 1"))
    (tmp_path / "trial.py").write_text(TRIAL)
    try:
        tiny.create()
        tiny.wait_for_trials(3, 120)
        TinyExperiment.wait_for(lambda: [row.state for row in read_back(tiny.root)].count("complete") == 2)
    finally:
        tiny.stop()
    rows = read_back(tiny.root)
    assert [row.state for row in rows] == ["complete", "pruned", "complete"]
    assert rows[1].why.startswith("can't win after fold 3 of 4: 0.3000 below")
    assert rows[1].epochs == 3
