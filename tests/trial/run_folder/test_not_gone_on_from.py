"""What a run can't go on from is refused, and nothing is changed."""

import os
import shutil
from dataclasses import replace

import pytest
import torch

from common.errors import UsageError
from tests import forked
from tests.analysis.fake_run import untrained
from tests.trial.killed_runs import config_of, killed, write_status
from trial.run import run
from trial.run_folder.checkpoint import CHECKPOINT, load
from trial.run_folder.record import RunFolder, RunWriter
from trial.run_folder.resume import continued, read


def damaged(name, content=b"damaged"):
    def change(folder):
        (folder / name).write_bytes(content)

    return change


def without(name):
    return lambda folder: (folder / name).unlink()


def with_status(**values):
    return lambda folder: write_status(folder, RunFolder(folder).status() | values)


def truncated(folder):
    path = folder / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-5000])


def with_a_flipped_bit(folder):
    path = folder / CHECKPOINT
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def hostile(folder):
    class Hostile:
        def __reduce__(self):
            return print, ("it ran",)

    torch.save({"format": 1, "recipe": Hostile()}, folder / CHECKPOINT)


REFUSED = {
    "another recipe": ({"loss": "focal"}, None, "loss: --continue goes on with the same recipe"),
    "another folder": ({"out": "elsewhere"}, None, "out: a run goes on in its own folder"),
    "unknown": ({"epoch": 9}, None, "did you mean epochs"),
    "fewer epochs": ({"epochs": 2}, None, "less than the 3"),
    "done": ({}, with_status(state="done", epochs=3), "is done, after all its 3 epochs"),
    "done by patience": ({"epochs": 9}, with_status(state="done"), "patience=0 ended it after epoch 2"),
    "no checkpoint": ({}, without(CHECKPOINT), "holds no checkpoint"),
    "none any more": (
        {"epochs": 9},
        lambda folder: (with_status(state="done", epochs=3)(folder), without(CHECKPOINT)(folder)),
        "--keep-checkpoint",
    ),
    "damaged": ({}, damaged(CHECKPOINT), "checkpoint.pt: is damaged"),
    "empty": ({}, damaged(CHECKPOINT, b""), "checkpoint.pt: is damaged"),
    "truncated": ({}, truncated, "checkpoint.pt: is damaged"),
    "a flipped bit": ({}, with_a_flipped_bit, "checkpoint.pt: is damaged"),
    "hostile": ({}, hostile, "checkpoint.pt: is damaged"),
    "no weights": ({}, without("weights.safetensors"), "weights.safetensors is missing or damaged"),
    "no answers": ({}, damaged("validation.parquet"), "validation.parquet is missing or damaged"),
    "no task": ({}, damaged("task.json"), "task.json is missing or damaged"),
    "no config": ({}, without("config.json"), "is not a run folder"),
    "no such data": ({"data": "nowhere"}, None, "no folder"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_run_can_not_go_on_from_is_refused_and_nothing_is_changed(name, stopped, tmp_path, capfd):
    values, change, words = REFUSED[name]
    folder = shutil.copytree(stopped[1], tmp_path / "run")
    if change:
        change(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UsageError) as refused:
        continued(folder, values)
    assert words in str(refused.value) and len(str(refused.value).splitlines()) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert "it ran" not in capfd.readouterr().out


def test_a_run_that_runs_is_left_alone(stopped, tmp_path):
    folder = shutil.copytree(stopped[1], tmp_path / "run")
    with_status(state="running")(folder)
    with pytest.raises(UsageError, match="still running"):
        continued(folder, {})


def test_a_schedule_over_all_epochs_is_not_made_longer(people, tmp_path):
    RunWriter(tmp_path / "run", config_of(people)).end("interrupted")
    with pytest.raises(UsageError, match="schedule=onecycle runs over all epochs"):
        continued(tmp_path / "run", {"epochs": 9})


def test_photos_that_grow_over_all_epochs_are_not_made_to_grow_longer(people, tmp_path):
    config = config_of(people, schedule="constant", model="test_resnet", resizing="progressive")
    RunWriter(tmp_path / "run", config).end("interrupted")
    with pytest.raises(
        UsageError, match=r"resizing=progressive.* runs over all epochs, so the photos so far"
    ):
        continued(tmp_path / "run", {"epochs": 9})


def test_other_data_are_refused_and_another_version_of_torch_is_warned_about(stopped, tmp_path, caplog):
    config, folder = stopped
    data = shutil.copytree(config.data, tmp_path / "data")  # copy2 keeps the times
    continued(folder, {"data": str(data), "threads": 2})
    assert "WARNING" not in caplog.text
    photo = next((data / "train" / "images").rglob("*.*"))
    os.utime(photo)  # as in a copy by cp -r
    with pytest.raises(UsageError, match=r"was trained on other data .* a file's size, time .* cp -a"):
        continued(folder, {"data": str(data)})
    photo.unlink()
    with pytest.raises(UsageError, match="was trained on other data"):
        continued(folder, {"data": str(data)})
    old = shutil.copytree(folder, tmp_path / "old")
    replace(load(old / CHECKPOINT), torch="2.0.0").write(old / CHECKPOINT)
    continued(old, {})
    assert "was trained with torch 2.0.0" in caplog.text


def test_other_labels_are_refused(people, tmp_path):
    """They deal other folds: people who were trained on would validate."""
    labels, whose = (
        tmp_path / "labels.csv",
        (people / "train" / "train.csv").read_text().split()[1].split(","),
    )
    other = {"male": "female", "female": "male"}[whose[1]]
    text = f"id,field,recorded,corrected\n{whose[0]},gender,{whose[1]},{other}\n"
    labels.write_text(text)
    config, folder = config_of(people, corrections=str(labels)), tmp_path / "run"
    writer = RunWriter(folder, config, keep_checkpoint=True)
    run(config, writer, lambda report: None)
    writer.end("interrupted")
    assert RunFolder(folder).origin()["label_files"].keys() == {"corrections"}
    continued(folder, {})
    labels.write_text(f"{text}\n")
    with pytest.raises(UsageError, match=r"with other labels than \S+labels.csv holds now"):
        continued(folder, {})


def test_other_weights_of_a_frozen_network_are_refused(people, tmp_path):
    """Its checkpoint holds the last layer alone: the curve would be of two networks."""
    weights = untrained(tmp_path / "first", 0).folder / "weights.safetensors"
    config = config_of(people, features="cached", weights=str(weights), schedule="constant", epochs=1)
    writer = RunWriter(tmp_path / "run", config, keep_checkpoint=True)
    run(config, writer, lambda report: None)
    writer.end("done")
    continued(tmp_path / "run", {"epochs": 2})
    shutil.copyfile(untrained(tmp_path / "second", 1).folder / "weights.safetensors", weights)
    with pytest.raises(UsageError, match=r"on features of other weights than weights=\S+ has now; put back"):
        continued(tmp_path / "run", {"epochs": 2})


def test_patience_that_ran_out_at_the_last_epoch_is_over(people, tmp_path):
    config = config_of(people, schedule="constant", epochs=3, patience=2)
    writer = RunWriter(tmp_path / "run", config, keep_checkpoint=True)
    run(config, writer, lambda report: None)
    writer.end("done")
    path = tmp_path / "run" / CHECKPOINT
    replace(load(path), patience={"best": 1.0, "waited": 2}).write(path)
    with pytest.raises(UsageError, match="is done; patience=2 ended it after epoch 3"):
        continued(tmp_path / "run", {"epochs": 6})
    assert (tmp_path / "run" / CHECKPOINT).is_file()


def test_a_run_from_before_a_field_was_there_goes_on(stopped, tmp_path):
    _, folder = stopped
    old = shutil.copytree(folder, tmp_path / "old")
    checkpoint = load(old / CHECKPOINT)
    earlier = {name: value for name, value in checkpoint.recipe.items() if name != "resizing"}
    replace(checkpoint, recipe=earlier).write(old / CHECKPOINT)
    continued(old, {})


def test_folds_one_by_one_are_not_made_longer_once_one_is_finished(people, tmp_path, monkeypatch):
    values = {"fold": "all", "folds": 2, "fold_order": "one_by_one", "epochs": 1, "schedule": "constant"}
    config = config_of(people, **values)
    killed(tmp_path / "run", config, monkeypatch)  # after the report of the first fold
    with_status(state="stopped_early")(tmp_path / "run")
    assert read(tmp_path / "run", config.recipe(), config.data).where == "fold 0"
    with pytest.raises(UsageError, match="fold 0 is already finished with 1"):
        continued(tmp_path / "run", {"epochs": 2})


def test_the_command_refuses_a_folder_that_is_not_there(tmp_path):
    done = forked.run("-m", "trial", "--continue", tmp_path / "nowhere" / "run")
    assert done.stderr == f"{tmp_path}/nowhere/run: no such folder\n"
    assert done.returncode == 2
    assert not (tmp_path / "nowhere").exists()
