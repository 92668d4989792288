"""Damaged and half-written run folders in an experiment are named, and the rest goes on."""

import re

import pytest

from analysis.__main__ import app
from tests.analysis import example_search
from tests.analysis.fake_experiment import make_experiment, record
from tests.analysis.fake_run import untrained
from tests.conftest import call
from trial.run_folder.record import RunFolder

DAMAGES = {
    "config.json": "{", "epochs.csv": "epoch,macro_f1\n1,ab", "validation.parquet": "PAR1", "task.json": "[]",
    "status.json": "{}",
}  # fmt: skip


@pytest.fixture
def experiment(tmp_path):
    """Trials with equal scores, the first one whole, and one with each of DAMAGES."""
    folder = make_experiment(tmp_path / "abc", {"seed": {"_type": "choice", "_value": list(range(9))}})
    for seed, damage in enumerate(["", *DAMAGES, "no config"]):
        run = untrained(record(folder, f"t{seed}", {"seed": seed}), seed, example_search.validation(100))
        (run.folder / "epochs.csv").write_text("epoch,seconds,train_loss,macro_f1\n1,1.0,2.0,0.5\n")
        if damage in DAMAGES:
            (run.folder / damage).write_text(DAMAGES[damage])
        if damage == "no config":
            (run.folder / "config.json").unlink()
    return folder


def test_tables_and_pages_name_what_is_damaged_and_show_the_rest(experiment, tmp_path):
    said = call(app, "trials", experiment)
    assert said.exit_code == 0
    assert "2 finished" in said.stdout and "5 not ranked" in said.stdout
    for words in ("t1/config.json: is damaged", "t2/epochs.csv: is damaged", "t5/status.json: is damaged (it has no state)",
                  "t4/task.json: is damaged", "t6/config.json: is missing", "t3/validation.parquet: is damaged"):  # fmt: skip
        assert words in said.stdout
    assert call(app, "report", experiment, "--out", tmp_path / "r.html").exit_code == 0
    page = re.sub(r"<script.*?</script>", "", (tmp_path / "r.html").read_text(), flags=re.DOTALL)
    assert "Left out: " in page and "t2/epochs.csv: is damaged" in page
    assert call(app, "report", experiment, experiment, "--out", tmp_path / "c.html").exit_code == 0


def test_a_damaged_run_has_a_page_that_says_so_or_is_refused_in_words(experiment, tmp_path):
    trials = experiment / "trials"
    for trial, code, words in (
        ("t1", 2, "config.json: is damaged"), ("t2", 0, ""), ("t3", 0, ""), ("t4", 2, "task.json: is damaged"),
        ("t5", 0, ""), ("t6", 2, "has no config.json"),
    ):  # fmt: skip
        said = call(app, "report", trials / trial, "--out", tmp_path / f"{trial}.html")
        assert said.exit_code == code, (trial, said.stderr)
        assert words in said.stderr
    assert "t3/validation.parquet: is damaged" in (tmp_path / "t3.html").read_text()
    assert "t2/epochs.csv: is damaged" in (tmp_path / "t2.html").read_text()


def test_a_best_trial_with_damaged_answers_is_exported_without_an_interval(experiment, tmp_path):
    (experiment / "trials" / "t0" / "validation.parquet").write_bytes(b"PAR1")
    said = call(app, "export-best", experiment, "--out", tmp_path / "best")
    assert said.exit_code == 0
    assert (
        "kept without accuracy and interval" in said.stderr
        and "t0/validation.parquet: is damaged" in said.stderr
    )
    assert "score_low" not in (tmp_path / "best" / "1.json").read_text()


def test_the_promise_is_of_the_first_trial_or_of_none(experiment):
    (experiment / "trials" / "t0" / "validation.parquet").write_bytes(b"PAR1")
    said = call(app, "trials", experiment)
    assert "Promise of the best one" not in said.stdout


def test_a_status_without_a_state_is_damaged(tmp_path):
    (tmp_path / "status.json").write_text('{"state": "done"}')
    assert RunFolder(tmp_path).status()["reason"].endswith("is damaged (it has no reason)")
