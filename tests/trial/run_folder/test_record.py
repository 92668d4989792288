import errno
import json
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from analysis.trust.curves import whole_curve
from common.errors import UsageError
from common.files import write_atomic
from common.process import process_mark
from trial.config import parse
from trial.preprocessing import Preprocessing
from trial.run_folder.checkpoint import CHECKPOINT
from trial.run_folder.predictions import probability_columns
from trial.run_folder.record import RunFolder, RunWriter
from trial.run_folder.status import note_failed, note_gone

CONFIG = parse({"model": "resnet18", "weights": "none", "image_size": "64x48", "loss": "focal"})
PREPARED = Preprocessing((64, 48), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic")


def answers(fold: int, labels: list[int], given: list[int]) -> pd.DataFrame:
    """Answers for people held out, `given` with certainty."""
    n = len(labels)
    known = {"photo": [f"{fold}-{i}" for i in range(n)], "group": ["1"] * n, "fold": fold, "label": labels}
    return pd.DataFrame(known).join(pd.DataFrame(np.eye(18)[given], columns=probability_columns(18)))


def write_run(folder) -> tuple[dict, pd.DataFrame]:
    writer = RunWriter(folder, CONFIG)
    weights = {"a": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}
    validation = answers(0, [3, 0], [3, 1])
    writer.origin({"seed": 1, "data_fingerprint": "f"})
    writer.preprocessing(PREPARED)
    writer.epoch({"epoch": 1, "seconds": 2.0, "macro_f1": 0.25})
    assert writer.best(0, 1, weights, validation) == pytest.approx(1 / 18)
    writer.epoch({"epoch": 2, "seconds": 2.0, "macro_f1": 0.2})
    writer.end("done")
    return weights, validation


def test_what_is_written_is_read_back(tmp_path):
    weights, validation = write_run(tmp_path)
    run = RunFolder(tmp_path)
    assert run.config() == CONFIG
    assert run.preprocessing() == PREPARED
    assert run.origin() == {"seed": 1, "data_fingerprint": "f"}
    assert list(run.epochs()["macro_f1"]) == [0.25, 0.2]
    pd.testing.assert_frame_equal(run.validation(), validation)
    assert all(torch.equal(tensor, weights[key]) for key, tensor in load_file(run.weights_files()[0]).items())
    status = run.status()
    assert (status["state"], status["best_epoch"], status["macro_f1"]) == ("done", 1, pytest.approx(1 / 18))
    assert (status["epochs"], status["seconds"]) == (2, 4.0)
    assert (status["metric"], status["score"]) == ("macro_f1", status["macro_f1"])
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".part"]


def test_a_run_is_done_once_its_files_are_on_the_disk(tmp_path, monkeypatch):
    """After a power cut a status of done has whole files beside it."""
    synced = []

    def sync(*paths):
        state = json.loads((tmp_path / "status.json").read_text())["state"]
        synced.append((state, {path.name for path in paths}))

    monkeypatch.setattr("trial.run_folder.record.sync", sync)
    write_run(tmp_path)
    written = {path.name for path in tmp_path.iterdir()} - {"status.json"}
    assert [state for state, _ in synced] == ["running", "done"]
    assert synced[0][1] >= written >= {"weights.safetensors", "validation.parquet", "config.json"}
    assert synced[1][1] == {"status.json", tmp_path.name, tmp_path.parent.name}


def test_a_run_whose_disk_fails_in_the_end_is_not_done(tmp_path, monkeypatch):
    def fail(path):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match=r"Input/output error: '.*config\.json'"):
        write_run(tmp_path)
    assert RunFolder(tmp_path).status()["state"] == "running"


def test_folds_of_one_run_have_weights_each_and_one_score_over_all_people(tmp_path):
    writer = RunWriter(tmp_path, replace(CONFIG, fold="all", folds=3))
    for fold, epochs in enumerate([(1, 4), (2,), (3,)]):
        for epoch in epochs:
            writer.epoch({"fold": fold, "epoch": epoch, "seconds": 1.0, "macro_f1": epoch / 10})
            weights = {"a": torch.tensor(10 * fold + epoch)}
            macro_f1 = writer.best(fold, epoch, weights, answers(fold, [fold], [fold]))
    assert macro_f1 == pytest.approx(3 / 18)  # three classes answered rightly
    run = RunFolder(tmp_path)
    assert list(run.validation()["fold"]) == [0, 1, 2]
    assert run.status()["best_epoch"] == 3  # the median of 4, 2 and 3
    kept = [load_file(tmp_path / f"weights.fold{fold}.safetensors")["a"] for fold in range(3)]
    assert [int(number) for number in kept] == [4, 12, 23]
    assert list(run.curve()["epoch"]) == [1, 2, 3, 4]
    RunWriter(tmp_path, CONFIG, again=True)
    assert not list(tmp_path.glob("weights*"))


def test_in_the_curve_a_fold_that_ended_earlier_counts_with_its_last_epoch(tmp_path):
    """As in the curve by which recipes are ranked: both have the same shape."""
    scores = [(0.1, 0.5, 0.3), (0.1, 0.2, 0.2, 0.4, 0.6)]
    writer = RunWriter(tmp_path, replace(CONFIG, fold="all", folds=2))
    for fold, own in enumerate(scores):
        for epoch, score in enumerate(own, 1):
            writer.epoch({"fold": fold, "epoch": epoch, "seconds": 1.0, "macro_f1": score})
    while_it_trains = [0.1, 0.35, 0.25, 0.4, 0.6]
    assert list(RunFolder(tmp_path).curve()["macro_f1"]) == pytest.approx(while_it_trains)
    writer.end("done")
    curve = RunFolder(tmp_path).curve()
    assert list(curve["macro_f1"]) == pytest.approx([0.1, 0.35, 0.25, 0.35, 0.45])
    ranked = whole_curve([dict(enumerate(own, 1)) for own in scores], 0.5)
    assert np.diff(curve["macro_f1"]) == pytest.approx(np.diff(ranked))


@pytest.mark.parametrize(("metric", "score"), [("balanced_accuracy", 0.5), ("accuracy", 2 / 3)])
def test_the_score_is_by_the_metric_of_the_config(tmp_path, metric, score):
    writer = RunWriter(tmp_path, replace(CONFIG, metric=metric))
    assert RunFolder(tmp_path).status()["score"] is None
    given = writer.best(0, 1, {"a": torch.tensor(1)}, answers(0, [3, 3, 0], [3, 3, 1]))
    status = RunFolder(tmp_path).status()
    assert given == status["score"] == pytest.approx(score)
    assert (status["metric"], status["macro_f1"]) == (metric, pytest.approx(1 / 18))


def test_the_first_end_is_the_last_word(tmp_path):
    writer = RunWriter(tmp_path, CONFIG)
    writer.end("interrupted", "SIGTERM")
    writer.end("failed", "later")
    assert RunFolder(tmp_path).status()["state"] == "interrupted"


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (None, "done", ""),
        (KeyboardInterrupt(), "interrupted", "by Ctrl-C"),
        (
            RuntimeError("CUDA error: unknown error"),
            "interrupted",
            "its GPU is gone (CUDA error: unknown error)",
        ),
        (UsageError("input: no photos"), "failed", "input: no photos"),
        (FloatingPointError("the loss is nan"), "failed", "the loss is nan"),
        (KeyError("p00"), "failed", "KeyError: 'p00'"),
    ],
)
def test_a_with_block_records_how_it_ended_and_the_error_is_raised(tmp_path, error, state, reason):
    with nullcontext() if error is None else pytest.raises(type(error)), RunWriter(tmp_path, CONFIG):
        if error is not None:
            raise error
    status = RunFolder(tmp_path).status()
    assert (status["state"], status["reason"]) == (state, reason)


def test_a_with_block_whose_last_write_fails_has_failed(tmp_path, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with pytest.raises(OSError, match="No space"), RunWriter(tmp_path, CONFIG):
        monkeypatch.setattr("os.fsync", full)
    status = RunFolder(tmp_path).status()
    assert status["state"] == "failed" and "full" in status["reason"]


def test_a_run_whose_last_status_can_not_be_written_is_not_done_and_keeps_its_checkpoint(
    tmp_path, monkeypatch
):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    writer = RunWriter(tmp_path, CONFIG)
    (tmp_path / CHECKPOINT).write_bytes(b"of the last epoch")
    with monkeypatch.context() as patch:
        patch.setattr("trial.run_folder.record.write_json", full)
        with pytest.raises(OSError, match="No space"):
            writer.end("done")
    assert (tmp_path / CHECKPOINT).exists()
    writer.end("failed", "the disk is full")
    assert RunFolder(tmp_path).status()["state"] == "failed"


def test_what_does_not_go_on_keeps_what_it_has(tmp_path):
    note_failed(tmp_path / "new", "no photos")
    assert RunFolder(tmp_path / "new").status()["reason"] == "no photos"
    RunWriter(tmp_path / "begun", CONFIG).end("interrupted", "SIGTERM")
    (tmp_path / "begun" / CHECKPOINT).write_bytes(b"of the last epoch")
    note_failed(tmp_path / "begun", "no photos")
    status = RunFolder(tmp_path / "begun").status()
    assert (status["state"], status["reason"]) == ("failed", "no photos")
    assert {CHECKPOINT, "config.json"} <= {path.name for path in (tmp_path / "begun").iterdir()}
    write_run(tmp_path / "done")
    note_failed(tmp_path / "done", "its result could not be reported again")
    assert RunFolder(tmp_path / "done").status()["state"] == "done"


@pytest.mark.filterwarnings("error")
def test_the_curve_of_a_thousand_classes_is_read_without_a_warning(tmp_path):
    writer = RunWriter(tmp_path, CONFIG)
    for fold in (0, 1):
        recall = {f"recall_{label:02d}": fold + label / 7 for label in range(1000)}
        writer.epoch({"fold": fold, "epoch": 1, "seconds": 2.0, "macro_f1": 0.5 * fold, **recall})
    curve = RunFolder(tmp_path).curve()
    assert (curve["epoch"][0], curve["macro_f1"][0]) == (1, 0.25)


def test_a_run_that_was_refused_before_it_started_makes_way_for_the_corrected_one(tmp_path):
    RunWriter(tmp_path, CONFIG).end("failed", "copies=baseline: no class of this set is rare; leave it out")
    writer = RunWriter(tmp_path, CONFIG)
    with pytest.raises(UsageError, match=r"already holds config\.json"):  # it runs
        RunWriter(tmp_path, CONFIG)
    writer.origin({"seed": 1, "data_fingerprint": "f"})
    writer.end("failed", "folds=50: must be from 2 to the number of groups (12)")
    writer = RunWriter(tmp_path, CONFIG)  # nothing was trained
    (tmp_path / "epochs.csv").write_text("fold,epoch,macro_f1\n0,1,0.1\n")
    writer.end("failed", "out of memory")
    with pytest.raises(UsageError, match=r"already holds config\.json"):
        RunWriter(tmp_path, CONFIG)


def test_a_folder_taken_up_again_is_begun_anew(tmp_path):
    write_run(tmp_path)
    with pytest.raises(UsageError, match=r"already holds config\.json"):
        RunWriter(tmp_path, CONFIG)
    assert RunFolder(tmp_path).status()["state"] == "done"
    RunWriter(tmp_path, CONFIG, again=True)
    assert RunFolder(tmp_path).status()["state"] == "running"
    assert not (tmp_path / "epochs.csv").exists()
    assert not (tmp_path / "weights.safetensors").exists()


def test_a_half_written_run_is_known_as_such(tmp_path):
    code = f"from trial.run_folder.record import RunWriter; from pathlib import Path; RunWriter(Path({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", code], check=True)
    status = RunFolder(tmp_path).status()
    assert status["state"] == "failed"
    assert "files may be incomplete" in status["reason"]


@pytest.mark.parametrize(
    ("now", "words"), [(7, "for want of memory perhaps: the system has killed 2 "), (5, "")]
)
def test_a_run_that_was_killed_for_want_of_memory_says_so(tmp_path, monkeypatch, now, words):
    monkeypatch.setattr("trial.run_folder.status.memory_kills", lambda: 5)
    RunWriter(tmp_path)
    path = tmp_path / "status.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"process": process_mark() | {"started": 1.0}}))
    monkeypatch.setattr("trial.run_folder.status.memory_kills", lambda: now)
    reason = RunFolder(tmp_path).status()["reason"]
    assert words in reason and reason.startswith("its process was killed")
    assert ("crashed" in reason) == (not words)


def test_a_recycled_process_number_is_not_the_run(tmp_path):
    RunWriter(tmp_path)
    path = tmp_path / "status.json"
    status = json.loads(path.read_text())
    assert RunFolder(tmp_path).status()["state"] == "running"
    path.write_text(json.dumps(status | {"process": process_mark() | {"started": 1.0}}))
    assert RunFolder(tmp_path).status()["state"] == "failed"


def test_a_folder_without_a_run_says_so(tmp_path):
    assert "no status.json" in RunFolder(tmp_path).status()["reason"]


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")

    def fail(part):
        part.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, fail)
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text() == "old"


def test_tensors_that_share_memory_are_saved_each_with_its_own_values(tmp_path):
    whole = torch.arange(12.0).reshape(3, 4)
    weights = {"a": whole, "tied": whole, "row": whole[1], "turned": whole.T, "n": torch.tensor(2)}
    RunWriter(tmp_path, CONFIG).weights(weights)
    kept = load_file(tmp_path / "weights.safetensors")
    assert kept.keys() == weights.keys()
    assert all(torch.equal(kept[name], tensor) for name, tensor in weights.items())


@pytest.mark.parametrize(("number", "words"), [(np.nan, "NaN"), (-np.inf, "an infinity")])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_that_are_not_finite_are_refused_and_the_last_good_ones_stay(number, words, kind, tmp_path):
    writer = RunWriter(tmp_path, CONFIG)
    good = {"a": torch.ones(2), "b": torch.ones(2, dtype=kind), "n": torch.tensor([3])}
    writer.weights(good)
    bad = torch.tensor([1, number], dtype=kind)
    with pytest.raises(FloatingPointError, match=f"the network's b holds {words}"):
        writer.weights({**good, "b": bad, "c": bad})
    kept = load_file(tmp_path / "weights.safetensors")
    assert all(torch.equal(kept[name], tensor) for name, tensor in good.items())
    assert [path.name for path in tmp_path.glob("*weights*")] == ["weights.safetensors"]


def test_a_run_on_another_machine_is_noted_as_gone(tmp_path):
    process = {"pid": 7, "started": 0.0, "host": "another"}
    (tmp_path / "status.json").write_text(json.dumps({"state": "running", "reason": "", "process": process}))
    assert RunFolder(tmp_path).status()["state"] == "running"
    note_gone(tmp_path, "its job 7 has ended")
    status = RunFolder(tmp_path).status()
    assert (status["state"], status["reason"]) == ("interrupted", "its job 7 has ended")
    note_gone(tmp_path, "again")
    assert RunFolder(tmp_path).status()["reason"] == "its job 7 has ended"
