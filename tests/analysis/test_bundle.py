"""The submission of a bundle is made again, byte for byte; else it is said what differs."""

import json
import os
import shutil

import numpy as np
import pytest

from analysis import bundle, pipeline
from analysis.__main__ import app
from analysis.bundle import BUNDLE, read_bundle, write_bundle
from analysis.pipeline import export_best, export_best_and_retrain, retrain_and_submit
from analysis.recipes import Recipe
from analysis.retrain import retrain
from common.errors import UsageError
from common.files import sha256_of
from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_eval
from tests.analysis.fake_experiment import trained
from tests.conftest import TINY, call
from trial.config import parse
from trial.data import pseudo_labels
from trial.models.weights import hashes


@pytest.fixture(scope="module")
def final(people, tmp_path_factory):
    """A retrained network with its submission: two of three epochs, averaged."""
    out = tmp_path_factory.mktemp("final") / "final"
    recipe = Recipe(parse({**TINY, "epochs": 3}, present=False).recipe(), stop_after=2)
    retrain_and_submit(recipe, people, out, {"threads": 1}, average=2)
    return out


@pytest.fixture(scope="module")
def experiment(people, tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "xyz", people)


def test_a_bundle_holds_all_that_a_submission_depends_on_and_is_read_back(final, tmp_path):
    made = read_bundle(final)
    (member,) = made.members
    assert (member.stop_after, member.average, made.threads, made.voted) == (2, 2, 1, False)
    assert (member.recipe["seed"], member.recipe["epochs"]) == (0, 3)
    assert member.split == "all people trained on, none held out"
    assert made.lock["torch"] == json.loads((final / "origin.json").read_text())["versions"]["torch"]
    assert made.files.keys() == {"submission.csv", "predictions.csv"} and len(member.network) == 64
    assert made.machine["processor"]
    assert read_bundle(write_bundle(tmp_path, made)) == made


def test_the_same_submission_byte_for_byte(people, final, tmp_path):
    data = shutil.copytree(people, tmp_path / "copy")  # elsewhere, at another time
    for path in data.rglob("*.jpg"):
        os.utime(path, (1e9, 1e9))
    said = call(app, "reproduce", final, "--data", data, "--out", tmp_path / "again")
    assert said.exit_code == 0
    assert "the same submission, byte for byte: submission.csv, predictions.csv" in said.stdout
    for name in ("submission.csv", "predictions.csv", "weights.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (final / name).read_bytes()
    assert read_bundle(tmp_path / "again").members == read_bundle(final).members


def test_what_differs_is_said(people, final, tmp_path):
    read = json.loads((final / BUNDLE).read_text())
    read["lock"] |= {"torch": "1.0", "gone": "2"}
    read["machine"]["processor"] = "Abacus"
    read["code"]["commit"] = "0" * 40
    read["members"][0]["recipe"]["learning_rate"] = 0.1  # so that the result differs
    read["members"][0]["compute"] |= {"device": "cuda", "name": "NVIDIA Loom", "precision": "float16"}
    changed = tmp_path / "changed"
    changed.mkdir()
    (changed / BUNDLE).write_text(json.dumps(read))
    shutil.copy(final / "submission.csv", changed)
    said = call(app, "reproduce", changed, "--data", people, "--out", tmp_path / "again")
    assert said.exit_code == 1
    for words in ("processor: Abacus there", "device: NVIDIA Loom there, ",
                  "; precision: float16 there, ", "commit 000000000000", "gone 2 there, none here", "torch 1.0 there",
                  "not the same, byte for byte: submission.csv, predictions.csv (", " of 105 answers differ)",
                  "networks with the same weights: 0 of 1", "what differs: processor: Abacus"):  # fmt: skip
        assert words in said.stdout


def test_other_data_are_refused_before_anything_is_trained(people, final, tmp_path):
    data = shutil.copytree(people, tmp_path / "copy")
    first = min((data / "train").rglob("*.jpg"))
    shutil.copy(max((data / "train").rglob("*.jpg")), first)
    said = call(app, "reproduce", final, "--data", data, "--out", tmp_path / "again")
    assert said.exit_code == 2
    assert "files of" in said.stderr and "nothing is trained" in said.stderr
    assert not (tmp_path / "again").exists()


def test_other_labels_are_refused_before_anything_is_trained(people, final, tmp_path):
    read, labels = json.loads((final / BUNDLE).read_text()), tmp_path / "labels.csv"
    pseudo_labels.write(labels, read_eval(people)["photo"][:8], np.zeros(8, int), FACE_MASK, "")
    read["members"][0]["recipe"]["pseudo_labels"] = str(labels)
    read["members"][0]["label_files"] = {"pseudo_labels": "0" * 64}
    (tmp_path / BUNDLE).write_text(json.dumps(read))
    said = call(app, "reproduce", tmp_path, "--data", people, "--out", tmp_path / "again")
    assert said.exit_code == 2
    assert f"pseudo_labels={labels}: holds other labels than the bundle was made with" in said.stderr
    assert not (tmp_path / "again").exists()
    read["members"][0]["recipe"]["pseudo_labels"] = ""
    read["members"][0]["label_files"] = {"teacher.runs=out/teacher": "0" * 64}
    (tmp_path / BUNDLE).write_text(json.dumps(read))
    said = call(app, "reproduce", tmp_path, "--data", people, "--out", tmp_path / "again")
    assert "teacher.runs=out/teacher: holds other labels than the bundle was made with" in said.stderr
    del read["members"][0]["label_files"]  # as earlier versions wrote it
    (tmp_path / BUNDLE).write_text(json.dumps(read))
    made = read_bundle(tmp_path)
    assert not bundle.label_difference(made, [recipe.config({}) for recipe in made.recipes()])


@pytest.mark.slow
def test_a_vote_is_made_again(people, experiment, tmp_path, capsys):
    export_best_and_retrain(experiment, people, tmp_path / "out", top=2, values={"threads": 1})
    assert pipeline.reproduce(tmp_path / "out" / BUNDLE, people, tmp_path / "again")
    for name in ("submission.csv", "predictions.csv", "best/2/weights.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


@pytest.mark.slow
def test_exported_recipes_can_be_retrained_as_they_were_found(people, experiment, tmp_path, capsys):
    export_best(experiment, tmp_path / "best")
    made = read_bundle(tmp_path / "best")
    (member,) = made.members
    assert (made.files, member.network, member.average) == ({}, None, 1)
    (best,) = experiment.folder.glob(f"trials/t{member.recipe['seed']}/weights.safetensors")
    assert member.trial_networks == {best.name: sha256_of(best)}
    assert member.split == "validated on fold 0 of 5, dealt by seed " + str(member.recipe["seed"])
    assert pipeline.reproduce(tmp_path / "best", people, tmp_path / "again")
    said = capsys.readouterr().out
    assert "none to compare with" in said and "differs from where" not in said
    assert (tmp_path / "again" / "submission.csv").is_file()
    with pytest.raises(UsageError, match="already exists"):
        pipeline.reproduce(tmp_path / "best", people, tmp_path / "again")


@pytest.fixture
def together(monkeypatch):
    """The numbers of GPUs of trainings by several, which this process trains here."""
    asked = []

    def instead(gpus, config, out, *how):
        asked.append((gpus, config.device))
        return retrain(config, out, *how)

    monkeypatch.setattr(pipeline, "retrain_on_gpus", instead)
    return asked


@pytest.mark.slow
def test_a_bundle_of_several_processes_is_made_again_by_as_many(people, final, tmp_path, together):
    read = json.loads((final / BUNDLE).read_text())
    read["members"][0]["compute"] |= {"processes": 2, "device": "cpu"}
    (tmp_path / BUNDLE).write_text(json.dumps(read))
    said = call(app, "reproduce", tmp_path, "--data", people, "--out", tmp_path / "again")
    assert (said.exit_code, together) == (0, [(2, "cpu")])
    assert "processes of a training" not in said.stdout
    said = call(app, "reproduce", tmp_path, "--data", people, "--out", tmp_path / "one", "--gpus", 1)
    assert (said.exit_code, len(together)) == (0, 1)
    assert "processes of a training: 2 there, 1 here" in said.stdout


@pytest.mark.slow
def test_the_best_recipes_are_retrained_on_several_gpus(people, experiment, tmp_path, together):
    export_best_and_retrain(experiment, people, tmp_path / "out", values={"device": "cpu"}, gpus=2)
    assert together == [(2, "cpu")]
    with pytest.raises(UsageError, match="99 processes"):
        export_best_and_retrain(experiment, people, tmp_path / "no", values={"device": "cpu"}, gpus=99)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"bundle": 1, "members": []}', '{"bundle": 2}'])
def test_a_damaged_bundle_is_named(tmp_path, text):
    (tmp_path / BUNDLE).write_text(text)
    with pytest.raises(UsageError, match=r"bundle\.json: is damaged, or no bundle"):
        read_bundle(tmp_path)


def test_a_missing_bundle_and_missing_weights(tmp_path):
    with pytest.raises(UsageError, match=r"bundle\.json: does not exist; export-best, retrain"):
        read_bundle(tmp_path)
    config = parse({**TINY, "weights": "/nowhere/x.pth"}, present=False)
    assert hashes(config.model, config.weights) == {}
