"""Disk space: what is removed, what stays, and what an experiment is said to need."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from analysis.trials.ranking import rank
from analysis.trials.table import find, trial_table
from experiments import __main__ as commands
from experiments.check import disk_need
from experiments.checks import disk
from experiments.clean import Keeper, clean, read_keep, write_keep
from experiments.plan import read_plan
from experiments.trouble import disk_full
from tests.analysis.fake_experiment import finished, more_events
from tests.conftest import call
from tests.experiments.saved.saved_experiment import SavedExperiment
from tuners.chosen import Chosen, write_chosen

VALUES = {"model": "test_resnet.r160_in1k", "weights": "none", "image_size": "32x32"}
KIB = 1024


def add(
    saved: SavedExperiment, name: str, event: str, state: str, score: float, rate: float, parent: str = ""
) -> Path:
    saved.trial(name, event, rate=rate)
    run = saved.folder / "trials" / name
    finished(run, VALUES | {"learning_rate": rate}, score, state, parent=parent, epochs=1 + bool(parent))
    for file in ("weights.safetensors", "weights.fold1.safetensors", "checkpoint.pt"):
        (run / file).write_bytes(bytes(100 * KIB))
    return run


@pytest.fixture
def saved(tmp_path):
    """Four finished trials, one that a person stopped, one that failed, one that runs again after a resume."""
    saved = SavedExperiment(tmp_path, maxTrialNumber=9)
    for number, score in enumerate([0.1, 0.4, 0.3, 0.2]):
        add(saved, f"done{number}", "SUCCEEDED", "done", score, 0.002 + number / 1000)
    add(saved, "byperson", "USER_CANCELED", "stopped_early", 0.5, 0.006)
    more_events(saved.folder, "byperson", ["USER_TO_CANCEL"])
    add(saved, "failed", "FAILED", "failed", 0.5, 0.007)
    add(saved, "atwork", "RUNNING", "stopped_early", 0.5, 0.008)
    return saved


def heavy(saved) -> set[str]:
    return {
        path.parent.name for path in saved.folder.glob("trials/*/*") if path.suffix in (".pt", ".safetensors")
    }


def test_the_best_and_those_that_go_on_keep_theirs(saved):
    before = rank(trial_table(find(str(saved.folder)))).ranked
    result = call(commands.app, "clean", saved.folder, "--keep", 2)
    assert (
        "1.2 MiB can be freed: networks and checkpoints of 4 trials; the 2 best keep theirs" in result.stdout
    )
    assert "nothing was removed; to remove them: add --yes" in result.stdout
    assert len(heavy(saved)) == 7, "a dry run"
    result = call(commands.app, "clean", saved.folder, "--keep", 2, "--yes")
    assert "1.2 MiB freed" in result.stdout
    assert heavy(saved) == {"done1", "done2", "atwork"}
    after = rank(trial_table(find(str(saved.folder)))).ranked
    assert after.equals(before), "tables are as before"
    assert (
        "0.0 MiB can be freed: networks and checkpoints of 0 trials"
        in call(commands.app, "clean", saved.folder, "--keep", 2).stdout
    )


def test_what_a_trial_goes_on_from_stays_until_it_is_copied(saved):
    add(saved, "paused", "EARLY_STOPPED", "stopped_early", 0.2, 0.009)
    saved.trial("goes_on", rate=0.009, parent="paused")
    write_chosen(saved.folder, [Chosen(0, trial="goes_on", chosen_by="model", state="running")])
    clean(str(saved.folder), keep=1).remove()
    assert heavy(saved) == {"done1", "atwork", "paused"}


def test_what_a_finished_trial_went_on_from_is_dropped(tmp_path):
    saved = SavedExperiment(tmp_path)
    add(saved, "first", "EARLY_STOPPED", "stopped_early", 0.2, 0.005)
    add(saved, "second", "SUCCEEDED", "done", 0.3, 0.005, parent="first")
    found = clean(str(saved.folder), keep=1)
    assert found.line(False).endswith(": networks and checkpoints of 1 trial; the best keeps its own")
    found.remove()
    assert heavy(saved) == {"second"}


def test_damaged_and_running_trials_keep_all(saved):
    (saved.folder / "trials" / "done0" / "epochs.csv").write_text("x")
    found = clean(str(saved.folder), keep=1)
    assert not [file for file in found.files if file.parent.name in ("done0", "atwork")]


def test_one_whose_end_the_search_has_not_heard_of_may_be_paused(saved):
    add(saved, "ending", "EARLY_STOPPED", "stopped_early", 0.2, 0.009)
    for state, drops in (("running", False), ("paused", False), ("pruned", True)):
        write_chosen(saved.folder, [Chosen(0, trial="ending", chosen_by="model", state=state)])
        dropped = {file.parent.name for file in clean(str(saved.folder), keep=9).files}
        assert ("ending" in dropped) == drops, state


def test_a_search_that_keeps_the_best_frees_the_rest_while_it_runs(saved):
    assert read_keep(saved.folder) is None
    write_keep(saved.folder, 2)
    keeper = Keeper(saved.folder, read_keep(saved.folder))
    assert keeper.line() == ""
    keeper.look(done=4)
    assert heavy(saved) == {"done1", "done2", "atwork"}
    add(saved, "done5", "SUCCEEDED", "done", 0.6, 0.01)
    keeper.look(done=4)
    assert len(heavy(saved)) == 4, "nothing has ended"
    keeper.look(done=5)
    assert heavy(saved) == {"done1", "done5", "atwork"}
    assert keeper.line() == "1.5 MiB freed: networks and checkpoints of 5 trials; the 2 best keep theirs"
    Keeper(saved.folder, None).look(done=6)
    assert len(heavy(saved)) == 3


Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def weights(tmp_path):
    """A network's weights of a MiB."""
    path = tmp_path / "w.pth"
    path.write_bytes(bytes(2**20))
    return path


@pytest.mark.parametrize(
    ("trials", "concurrency", "folds", "mib"),
    [(10, 2, 1, 10 * 3 + 4 * 2), (1, 4, 1, 3 + 4), (10, 2, 5, 10 * 7 + 40)],
)
def test_the_need_counts_networks_and_checkpoints(
    tmp_path, weights, monkeypatch, trials, concurrency, folds, mib
):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 2**30))
    networks = [(VALUES["model"], str(weights), folds)]
    found = disk.need(tmp_path / "not" / "yet", networks * 3, trials, concurrency)
    assert found.bytes == mib * 2**20
    assert found.line() == f"disk: about {mib}.0 MiB of the 1.0 GiB that are free"
    assert found.errors() == []
    if trials == 10 and folds == 1:
        found = disk.need(tmp_path, networks, trials, concurrency, keep=3)
        assert found.bytes == (10 * 2 + 5 + 4 * 2) * 2**20


def test_a_search_on_a_full_disk_is_stopped(tmp_path, monkeypatch):
    for free, words in ((64, ""), (63, "its disk is nearly full (63.0 MiB free), so it was stopped")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: Usage(0, 0, free * 2**20))
        assert disk_full(tmp_path).startswith(words)
        assert bool(disk_full(tmp_path)) == bool(words)


def test_an_experiment_that_does_not_fit_is_refused(tmp_path, weights, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 20 * 2**20))
    (error,) = disk.need(tmp_path, [(VALUES["model"], str(weights), 1)], 10, 2).errors()
    assert "10 trials may need 38.0 MiB, and 20.0 MiB are free" in error


@pytest.mark.slow
def test_random_networks_count_where_the_disk_is_small(tmp_path, monkeypatch):
    asked = (tmp_path, [("resnet18", "none", 1)], 10, 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 2**40))
    assert not disk.need(*asked).line(), "they fit whatever they are"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 2**29))
    needed = disk.need(*asked)
    weights = 11_186_772 + 9_620  # parameters with one output, and batch normalisation's statistics
    assert needed.bytes == pytest.approx(18 * 4 * weights + 10 * disk.OTHERS, rel=0.01)
    assert "10 trials may need" in needed.errors()[0]


def test_a_shipped_experiments_need_is_known():
    plan, _ = read_plan(Path("experiments/learning_rate.yaml"))
    plan = plan.with_settings(["model=tf_efficientnet_lite0", "weights=package"])
    assert disk_need(plan).line().startswith("disk: about ")
