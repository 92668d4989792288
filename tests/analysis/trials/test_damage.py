"""A damaged file of one trial: that trial is named, and table, export and report of the others are as before."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from analysis.pipeline import export_best
from analysis.recipes import recipe_of
from analysis.report.experiment import write_experiment_report
from analysis.trials.printing import print_trials
from analysis.trials.ranking import rank
from analysis.trials.table import Experiment, trial_table
from analysis.trust.curves import STEADY
from common.errors import UsageError
from experiments.clean import clean
from tests.analysis.example_search import validation
from tests.analysis.fake_experiment import make_experiment, record
from tests.analysis.fake_run import untrained
from tests.analysis.trials.damage import ANY_FILE, FILES, damages
from tuners.chosen import Chosen, write_chosen

RATES = {"low": 0.01, "middle": 0.02, "best": 0.03}
SPACE = {"learning_rate": {"_type": "uniform", "_value": [0.001, 0.1]}}
KEYS = {
    "status.json": [
        "state", "reason", "started", "ended", "process", "epochs", "seconds", "best_epoch", "macro_f1", "metric", "score",
    ],
    "config.json": ["model", "loss", "epochs", "image_size", "metric", "fold", "augment"],
    "task.json": ["name", "classes", "factors", "group", "groups", "answers", "rare", "rare_name", "bands"],
    "origin.json": ["data_fingerprint", "code", "versions", "class_counts"],
    "preprocessing.json": ["image_size", "mean", "crop"],
    "epochs.csv": ["fold", "epoch", "macro_f1", "seconds", "train_loss"],
    "validation.parquet": ["photo", "person", "fold", "label", "p00", "p17"],
    "weights.safetensors": [],
}  # fmt: skip
# Of these the table still holds the right answers.
UNSEEN = (
    "twice",
    "zeros at the end",
    "a byte flipped",
    "no fold",
    "texts in fold",
    "texts in person",
)  # one person, say


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An experiment of three finished trials."""
    folder = make_experiment(tmp_path_factory.mktemp("damage") / "tiny", SPACE)
    for number, (trial, rate) in enumerate(RATES.items()):
        run = untrained(
            record(folder, trial, {"learning_rate": rate}), seed=number, values={"learning_rate": rate},
            validation=validation(120, absent=()),
        ).folder  # fmt: skip
        scores = [0.3 + 0.1 * number, 0.2 + 0.1 * number]
        epochs = {"fold": 0, "epoch": [1, 2], "seconds": 1.0, "train_loss": [2.0, 1.0], "macro_f1": scores}
        pd.DataFrame(epochs).to_csv(run / "epochs.csv", index=False)
        status = json.loads((run / "status.json").read_text())
        (run / "status.json").write_text(json.dumps(status | {"epochs": 2, "seconds": 2.0}))
    experiment = Experiment("tiny", "tiny", folder)
    values = rank(trial_table(experiment)).ranked.set_index("trial")[STEADY]
    assert list(values.index) == ["best", "middle", "low"]
    return experiment, values


@pytest.fixture
def experiment(whole):
    """The same, mended afterwards."""
    experiment, _ = whole
    run, kept = experiment.folder / "trials" / "best", experiment.folder / "kept"
    shutil.copytree(run, kept)
    yield experiment
    shutil.rmtree(run)
    kept.rename(run)


NAMED_STATES = ("damaged", "failed", "mismatch", "running", "stopped_early")


@pytest.mark.parametrize("kind", ["of any file", pytest.param("of its content", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FILES)
def test_one_damaged_file_changes_no_other_trial(whole, experiment, name, kind):
    kept = (experiment.folder / "kept" / name).read_bytes()
    for what, do in damages(name, KEYS[name]):
        if (what in ANY_FILE) != (kind == "of any file"):
            continue
        path = experiment.folder / "trials" / "best" / name
        mend(path, kept)
        do(path)
        ranking = rank(trial_table(experiment))
        ranked = ranking.ranked.set_index("trial")[STEADY]
        assert ranked.drop("best", errors="ignore").to_dict() == whole[1].drop("best").to_dict(), what
        two = ranking.best(2)
        if what != "removed":  # the others' own files are the same each time, their recipes are read once
            two = two[two["trial"] == "best"]
        recipes = [recipe_of(row, "tiny") for _, row in two.iterrows()]
        assert all(recipe.recipe["model"] == "test_resnet.r160_in1k" for recipe in recipes), what
        if "best" in ranked:
            no_curve = (name, what) == ("epochs.csv", "removed")  # as of an early version: by its best epoch
            assert ranked["best"] == whole[1]["best"] or no_curve, f"{what}: another score than the right one"
        else:
            row = ranking.unranked.set_index("trial").loc["best"]
            assert row["state"] in NAMED_STATES, what
            assert row["state"] != "damaged" or name in row["reason"], what


def mend(path: Path, content: bytes) -> None:
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.write_bytes(content)


CASES = [
    (name, what) for name in FILES for what, _ in damages(name, KEYS[name])
    if what in ANY_FILE or (name == "validation.parquet" and "in p00" not in what)
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "what", "reported"),
    # Drawing a report takes most of the time: one of each damage, of some files, and all of what it reads again.
    [(*case, number % 3 == 0 or case[0] == "validation.parquet") for number, case in enumerate(CASES)],
)
def test_the_commands_name_the_trial_and_do_the_rest(
    experiment, tmp_path, capsys, caplog, name, what, reported
):
    path = experiment.folder / "trials" / "best" / name
    dict(damages(name, KEYS[name]))[what](path)
    ranking = rank(trial_table(experiment))
    print_trials(ranking)
    export_best(experiment, tmp_path / "o", top=2)
    assert len(list((tmp_path / "o").glob("?.json"))) == 2
    first = ranking.first["trial"]
    if reported:
        page = write_experiment_report(experiment, tmp_path / "r.html", ranking, ranking.first).read_text()
        assert "middle" in page
        assert first == "best" or name in page
    said = capsys.readouterr().out + caplog.text
    if first != "best":
        assert name in said
    elif name == "validation.parquet" and what not in UNSEEN:
        assert f"{name}: " in said


def test_the_sentence_on_a_damaged_trial(experiment, capsys):
    path = experiment.folder / "trials" / "best" / "epochs.csv"
    path.write_bytes(bytes(100))
    print_trials(rank(trial_table(experiment)))
    assert "damaged" in (text := capsys.readouterr().out)
    assert str(path) in text


CHOSEN = [
    Chosen(number, number, trial, "model", 0.125, state="complete") for number, trial in enumerate(RATES)
]


@pytest.mark.parametrize("what", ANY_FILE)
def test_who_chose_the_recipes_may_be_damaged(whole, what):
    experiment, values = whole
    path = experiment.folder / "chosen.csv"
    write_chosen(experiment.folder, CHOSEN)
    try:
        ANY_FILE[what](path)
        ranking = rank(trial_table(experiment))
        said = ranking.table.attrs["chosen"]
        assert ranking.ranked.set_index("trial")[STEADY].to_dict() == values.to_dict()
        if what not in ("removed", "twice"):
            assert said.startswith(f"{path}: is damaged (")
            with pytest.raises(UsageError, match="is damaged"):
                clean(str(experiment.folder), 1)
    finally:
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
