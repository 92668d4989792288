"""Runs that are not finished can be used, with a warning."""

import json
import time

import pytest

from analysis.ensemble import ensemble
from analysis.pipeline import retrain_and_submit
from analysis.predict.trained import load
from analysis.prediction import predict_and_submit
from analysis.recipes import read_recipe
from analysis.trials.unfinished import how_far, unfinished
from common.errors import UsageError
from tests.analysis import example_search
from tests.analysis.fake_run import untrained
from tests.conftest import TINY
from tests.forked import Forked
from trial.config import parse
from trial.run_folder.record import RunFolder, RunWriter


def half(folder, **status):
    """A trial's folder after 3 of 9 epochs, its status changed by `status`."""
    made = untrained(folder, 0, example_search.validation(200))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"epochs": 9}))
    known = json.loads((folder / "status.json").read_text()) | {"epochs": 3, **status}
    (folder / "status.json").write_text(json.dumps(known))
    return made.folder


def of_a_process_that_is_gone() -> dict:
    """A running state whose process has ended."""
    return {
        "state": "running",
        "process": {"pid": 2**22 + 1, "started": 0.0, "host": __import__("platform").node()},
    }


STATES = {
    "killed": (
        of_a_process_that_is_gone(),
        "failed (its process was killed or crashed; its files may be incomplete)",
    ),
    "failed": ({"state": "failed", "reason": "the loss is nan"}, "failed (the loss is nan)"),
    "stopped": ({"state": "interrupted", "reason": "by Ctrl-C"}, "interrupted (by Ctrl-C)"),
    "running": ({"state": "running"}, "running"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STATES)
def test_predicting_from_one_is_said_and_kept(people, tmp_path, capsys, name):
    status, words = STATES[name]
    folder = half(tmp_path / "run", **status)
    predict_and_submit(folder, people, tmp_path / "out")
    said = capsys.readouterr().out
    wanted = f"WARNING: the run {folder} is not finished: {words} after epoch 3 of 9; the weights used are of epoch 1"
    assert wanted in said
    kept = json.loads((tmp_path / "out" / "submission.json").read_text())["unfinished"]
    assert (kept["epochs_done"], kept["epochs"], kept["best_epoch"]) == (3, 9, 1)
    assert kept["state"] == ("failed" if name == "killed" else status["state"])


def test_a_finished_run_is_not_remarked_on(people, tmp_path, capsys):
    folder = untrained(tmp_path / "run", 0, example_search.validation(200)).folder
    assert unfinished(folder) is None
    _, about = predict_and_submit(folder, people, tmp_path / "out")
    assert "not finished" not in capsys.readouterr().out
    assert "unfinished" not in about


@pytest.mark.slow
def test_an_ensemble_says_it_of_each_member(people, tmp_path, capsys):
    half(tmp_path / "a", **STATES["killed"][0])
    untrained(tmp_path / "b", 1, example_search.validation(200))
    ensemble([tmp_path / "a", tmp_path / "b"], people, tmp_path / "out")
    assert capsys.readouterr().out.count("is not finished") == 1
    members = json.loads((tmp_path / "out" / "submission.json").read_text())["members"]
    assert [bool(member["unfinished"]) for member in members] == [True, False]


def test_where_there_is_no_network_it_is_refused_with_its_state(people, tmp_path):
    writer = RunWriter(tmp_path / "run", parse({**TINY, "epochs": 9}))
    writer.end("failed", "the loss is nan")
    with pytest.raises(
        UsageError, match=r"no .*; its state: failed \(the loss is nan\) before the end of epoch 1 of 9"
    ):
        load(tmp_path / "run")


def test_a_fold_is_named_if_they_are_trained_one_by_one(tmp_path):
    values = {**TINY, "fold": "all", "folds": 3, "fold_order": "one_by_one", "epochs": 9}
    writer = RunWriter(tmp_path / "run", parse(values))
    for fold, epoch in ((0, 1), (0, 2), (1, 1)):
        writer.epoch({"fold": fold, "epoch": epoch, "seconds": 1.0})
    writer.end("failed", "killed")
    assert how_far(unfinished(tmp_path / "run")) == "failed (killed) after epoch 1 of 9 of fold 1"


@pytest.mark.slow
def test_a_trial_that_was_killed_midway(people, tmp_path, capsys):
    """With kill -9, as the kernel does when memory runs out."""
    values = {**TINY, "data": people, "epochs": 500, "out": tmp_path / "run"}
    process = Forked("-m", "trial", *(f"{key}={value}" for key, value in values.items()))
    try:
        end = time.monotonic() + 120
        while RunFolder(tmp_path / "run").status().get("epochs", 0) < 2:
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.05)
    finally:
        process.kill()
    process.wait()
    status = RunFolder(tmp_path / "run").status()
    predict_and_submit(tmp_path / "run", people, tmp_path / "out")
    said = capsys.readouterr().out
    assert (
        f"failed (its process was killed or crashed; its files may be incomplete) after epoch {status['epochs']} of 500"
        in said
    )
    recipe = read_recipe(tmp_path / "run" / "config.json")
    _, about = retrain_and_submit(recipe, people, tmp_path / "again", {})
    said = capsys.readouterr().out
    assert f"its recipe is trained up to epoch {recipe.stop_after}, by the scores so far" in said
    assert about["recipe_from_unfinished"]["epochs"] == 500
    assert RunFolder(tmp_path / "again").status()["epochs"] == recipe.stop_after
    # The retrained run itself is whole.
    _, about = predict_and_submit(tmp_path / "again", people, tmp_path / "third")
    assert "unfinished" not in about


@pytest.mark.slow
def test_a_recipe_without_any_score_is_trained_to_its_end_and_said(people, tmp_path, capsys):
    writer = RunWriter(tmp_path / "run", parse(TINY))
    writer.origin({"data_fingerprint": "f" * 64})
    writer.end("interrupted", "by Ctrl-C")
    recipe = read_recipe(tmp_path / "run" / "config.json")
    retrain_and_submit(recipe, people, tmp_path / "again", {})
    assert "so its recipe is trained for all 2 epochs" in capsys.readouterr().out
    assert RunFolder(tmp_path / "again").status()["epochs"] == 2
