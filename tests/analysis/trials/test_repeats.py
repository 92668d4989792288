"""Experiments that train each recipe with several seeds: no lucky seed comes first."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.pipeline import export_best
from analysis.report.experiment import write_experiment_report
from analysis.trials.printing import print_trials
from analysis.trials.ranking import rank
from analysis.trials.repeats import repeats_of
from analysis.trials.table import Experiment, trial_table
from tests.analysis.fake_experiment import make_experiment, record
from tests.analysis.fake_run import untrained
from tests.conftest import TINY
from trial.run_folder.predictions import probability_columns

SPACE = {
    "loss": {"_type": "choice", "_value": ["cross_entropy", "focal", "f1"]},
    "seed": {"_type": "choice", "_value": [0, 1, 2]},
}
# The fraction of photos that is right, by seed. The best single trial is a lucky one.
RIGHT = {"cross_entropy": (0.3, 0.3, 0.8), "focal": (0.6, 0.65, 0.7), "f1": (0.2, 0.1, 0.15)}
OTHERS = ["cross_entropy2", "focal2", "focal0", "cross_entropy1", "f10", "f11"]  # after the median ones


def answers(right, seed, people=30):
    """Two photos of each of the people that the seed deals, some of them dealt by another, too."""
    names = [f"{20 * seed + person:03d}" for person in range(people) for _ in range(2)]
    labels = np.array([int(name) % 18 for name in names])
    given = np.where(np.arange(len(names)) % 20 < 20 * right, labels, (labels + 1) % 18)
    table = pd.DataFrame(
        {"photo": [f"{name}/{at % 2}.jpg" for at, name in enumerate(names)], "person": names}
    )
    sure = pd.DataFrame(0.3 / 17 + (0.7 - 0.3 / 17) * np.eye(18)[given], columns=probability_columns(18))
    return table.assign(fold=0, label=labels).join(sure)


@pytest.fixture
def experiment(tmp_path):
    folder = make_experiment(tmp_path / "abc", SPACE, tuner="GridSearch")
    for loss, rights in RIGHT.items():
        for seed, right in enumerate(rights):
            given = {"loss": loss, "seed": seed}
            run = record(folder, f"{loss}{seed}", given)
            untrained(run, 0, answers(right, seed), values={**TINY, **given})
            lines = [f"0,{epoch},{right}" for epoch in (1, 2, 3)]
            (run / "epochs.csv").write_text("\n".join(["fold,epoch,macro_f1", *lines]) + "\n")
            status = json.loads((run / "status.json").read_text())
            status |= {"macro_f1": right, "score": right, "best_epoch": 1, "epochs": 3}
            (run / "status.json").write_text(json.dumps(status))
    return Experiment("abc", "tiny", folder)


def test_the_recipe_that_is_best_over_all_seeds_comes_first(experiment, tmp_path, capsys):
    ranking = rank(trial_table(experiment))
    assert list(ranking.ranked["trial"]) == ["focal1", "cross_entropy0", "f12", *OTHERS]
    assert not ranking.leaders.equal, "paired over all seeds, the others are worse"
    assert ranking.median["trial"] == "cross_entropy0", "that of all trials, by score"
    promise = ranking.leaders.promise
    assert promise.n_groups == 70, "people that several seeds deal count once"
    assert promise.low < 0.65 < promise.high
    print_trials(ranking)
    out = capsys.readouterr().out
    assert "for being the best of 3 recipes, each trained several times, and of their epochs" in out
    assert (
        "3 recipes were trained with seed=0, seed=1, seed=2 and are ranked by the groups of all their" in out
    )
    assert "other photos than" not in out
    page = write_experiment_report(experiment, tmp_path / "r.html", ranking, ranking.first).read_text()
    assert "3 recipes were trained with seed=0" in page
    assert "recipes before them by the people of all their trials." in page
    export_best(experiment, tmp_path / "best", top=2)
    kept = [json.loads((tmp_path / "best" / f"{one}.json").read_text()) for one in (1, 2)]
    assert [one["recipe"]["loss"]["_name"] for one in kept] == ["focal", "cross_entropy"]
    assert kept[0]["origin"]["promise"]["choice"].startswith("the best of 3 recipes")


def test_without_answers_the_means_of_the_scores_decide(experiment, capsys):
    (experiment.folder / "trials" / "focal0" / "validation.parquet").unlink()
    ranking = rank(trial_table(experiment))
    assert list(ranking.ranked["trial"]) == ["focal1", "cross_entropy0", "f12", *OTHERS]
    assert ranking.leaders.promise is None
    print_trials(ranking)
    assert "are ranked by the means of the trials (" in capsys.readouterr().out


def test_recipes_without_a_seed_come_after_those_with_all(experiment):
    table = trial_table(experiment)
    table.loc[table["trial"] == "focal0", "state"] = "failed"
    assert list(rank(table).ranked["trial"])[:3] == ["cross_entropy0", "f12", "cross_entropy2"]


def test_it_is_said_if_no_two_recipes_have_all_seeds(experiment, capsys):
    table = trial_table(experiment)
    table.loc[table["trial"].isin(["focal0", "cross_entropy1"]), "state"] = "failed"
    ranking = rank(table)
    assert ranking.repeats is None and ranking.first["trial"] == "cross_entropy2"
    print_trials(ranking)
    assert "no two recipes were trained with all values: the first trial may be no more than a lucky" in (
        capsys.readouterr().out
    )


def test_folds_are_repetitions_too_all_of_them_among_others():
    table = pd.DataFrame(
        {"loss": ["f1", "f1", "focal", "focal"], "fold": [0, "all"] * 2, "folder": list("abcd")}
    )
    found = repeats_of(table, pd.Series([0.1, 0.2, 0.3, 0.4]), ["loss", "fold"], "macro_f1")
    assert (found.of, found.rows) == ("fold=0, fold=all", ((2, 3), (0, 1)))
