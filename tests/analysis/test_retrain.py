import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from analysis.__main__ import app
from analysis.bundle import read_bundle
from analysis.pipeline import export_best_and_retrain, retrain_and_submit
from analysis.predict.trained import predict
from analysis.prediction import predict_and_submit
from analysis.recipes import Recipe, read_recipe
from analysis.retrain import mean, retrain
from analysis.submission import submission_errors
from analysis.trials.ranking import Ranking
from analysis.trust.curves import curve_of, steady
from common.errors import UsageError
from common.files import sha256_of
from common.machine import PROJECT, shipped
from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_eval, read_train
from tests.analysis.fake_experiment import trained
from tests.conftest import TINY, call
from trial.config import parse
from trial.data import pseudo_labels
from trial.forward import Forward
from trial.learning.schedules import SCHEDULES
from trial.run import run
from trial.run_folder.checkpoint import CHECKPOINT
from trial.run_folder.record import WEIGHTS, RunFolder, RunWriter
from trial.run_folder.resume import Saver, continued


def test_the_schedule_is_the_trials_and_stops_where_validation_was_best(people, tmp_path):
    config = parse({**TINY, "epochs": 4, "data": str(people)})
    rule = retrain(config, tmp_path / "run", stop_after=2)
    epochs = RunFolder(tmp_path / "run").epochs()
    steps = -(-len(read_train(people).table) // config.batch_size)
    last = config.learning_rate * SCHEDULES["onecycle"](4)(1 + (steps - 0.5) / steps)
    assert len(epochs) == 2
    assert epochs["learning_rate"].iloc[-1] == pytest.approx(last)
    assert (rule["stopped_after_epoch"], rule["weights"]) == (2, "last")


@pytest.mark.slow
def test_a_retraining_that_was_stopped_goes_on_with_the_same_command(people, tmp_path, monkeypatch, capsys):
    config = parse({**TINY, "epochs": 4, "data": str(people), "ema": 0.9})
    rule = retrain(config, tmp_path / "whole", average=3)

    def interrupt(writer, row):
        if row["epoch"] == 3:
            raise KeyboardInterrupt
        RunWriter.epoch(writer, row)

    class Interrupted(RunWriter):
        epoch = interrupt

    monkeypatch.setattr(Saver, "is_due", True)
    with monkeypatch.context() as patch:
        patch.setattr("analysis.retrain.RunWriter", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            retrain(config, tmp_path / "run", average=3)
    assert RunFolder(tmp_path / "run").status()["state"] == "interrupted"
    with pytest.raises(UsageError, match="another recipe, which differs in average"):
        retrain(config, tmp_path / "run", average=1)
    with pytest.raises(UsageError, match="is a retraining"):
        continued(tmp_path / "run", {})
    assert retrain(config, tmp_path / "run", average=3) == rule
    assert "going on after epoch 2" in capsys.readouterr().out
    again, whole = (load_file(tmp_path / name / WEIGHTS) for name in ("run", "whole"))
    assert all(torch.equal(again[key], value) for key, value in whole.items())
    epochs = [RunFolder(tmp_path / name).epochs().drop(columns="seconds") for name in ("run", "whole")]
    pd.testing.assert_frame_equal(*epochs, check_exact=True)
    assert RunFolder(tmp_path / "run").status()["state"] == "done"
    assert not (tmp_path / "run" / CHECKPOINT).exists()


def test_a_network_that_was_trained_with_other_labels_is_not_used_by_the_next_try(
    people, tmp_path, monkeypatch
):
    """The recipe only names the file of labels."""

    def interrupt(*_):
        raise KeyboardInterrupt

    photos, labels = read_eval(people)["photo"][:8], tmp_path / "labels.csv"
    recipe, changes = Recipe(parse({**TINY, "epochs": 1}).recipe()), {"pseudo_labels": str(labels)}
    pseudo_labels.write(labels, photos, np.zeros(8, int), FACE_MASK, "")
    with monkeypatch.context() as patch:
        patch.setattr("analysis.pipeline.predict", interrupt)
        with pytest.raises(KeyboardInterrupt):
            retrain_and_submit(recipe, people, tmp_path / "out", changes)
    before = labels.read_bytes()
    pseudo_labels.write(labels, photos, np.ones(8, int), FACE_MASK, "")
    with pytest.raises(UsageError, match=r"out already holds config\.json"):
        retrain_and_submit(recipe, people, tmp_path / "out", changes)
    labels.write_bytes(before)
    trained = (tmp_path / "out" / WEIGHTS).stat().st_mtime_ns
    retrain_and_submit(recipe, people, tmp_path / "out", changes)
    assert (tmp_path / "out" / WEIGHTS).stat().st_mtime_ns == trained
    assert read_bundle(tmp_path / "out").members[0].label_files == {"pseudo_labels": sha256_of(labels)}


@pytest.mark.parametrize(
    ("error", "state", "words"),
    [
        (FloatingPointError("the training loss is nan at step 1"), "failed", "the training loss is nan"),
        (MemoryError("Unable to allocate 9 GiB"), "failed", "out of memory (Unable to allocate 9 GiB)"),
        (torch.OutOfMemoryError("CUDA out of memory"), "failed", "out of memory on the device"),
        (RuntimeError("DataLoader worker (pid 7) is killed"), "failed", "a process of the loader ended"),
        (RuntimeError("CUDA error: uncorrectable ECC error"), "interrupted", "its GPU is gone (CUDA error"),
    ],
)
def test_what_ends_a_retraining_is_a_sentence(people, tmp_path, monkeypatch, error, state, words):
    def fail(*_):
        raise error

    monkeypatch.setattr(Forward, "in_parts", fail)
    recipe = Recipe(parse({**TINY, "batch_size": 4}).recipe()).write(tmp_path / "tiny.json")
    result = call(app, "retrain", recipe, "--data", people, "--out", tmp_path / "out")
    assert (result.exit_code, "Traceback" in result.stderr) == (1, False)
    assert words in result.stderr
    status = RunFolder(tmp_path / "out").status()
    assert (status["state"], status["reason"].startswith(words)) == (state, True)


@pytest.mark.slow
def test_a_recipe_of_all_folds_becomes_one_network_of_all_people(people, tmp_path):
    folds = parse({**TINY, "fold": "all", "folds": 2, "epochs": 3})
    retrain_and_submit(Recipe(folds.recipe(), stop_after=2), people, tmp_path / "run", {"weights": "none"})
    again = RunFolder(tmp_path / "run")
    assert [path.name for path in again.weights_files()] == ["weights.safetensors"]
    assert (again.status()["epochs"], len(again.epochs())) == (2, 2)
    about = json.loads((tmp_path / "run" / "submission.json").read_text())
    assert (
        about["rule"]["why"]
        == "the epoch whose validation score, averaged over the folds and with its neighbours', was best"
    )
    assert predict(tmp_path / "run", read_eval(people)).shape == (len(read_eval(people)), 18)


@pytest.mark.slow
def test_averaged_weights_are_the_mean_of_the_last_epochs(people, tmp_path):
    config = parse({**TINY, "epochs": 3, "data": str(people)})
    retrain(config, tmp_path / "last")
    retrain(config, tmp_path / "two", stop_after=2)
    rule = retrain(config, tmp_path / "mean", average=2)
    last, two, both = (load_file(tmp_path / name / WEIGHTS) for name in ("last", "two", "mean"))
    for key, value in both.items():
        if value.is_floating_point():
            assert torch.allclose(value, (last[key] + two[key]) / 2, atol=1e-5), key
    assert rule["weights"] == "mean of the last 2 epochs"


def test_the_mean_of_counters_is_the_last_one():
    states = [
        {"w": torch.tensor([1.0]), "n": torch.tensor(1)},
        {"w": torch.tensor([3.0]), "n": torch.tensor(2)},
    ]
    assert mean(states) == {"w": torch.tensor([2.0]), "n": torch.tensor(2)}


@pytest.fixture(scope="module")
def experiment(people, tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "xyz", people)


@pytest.fixture
def rankings(monkeypatch) -> list[Ranking]:
    """Every ranking that the test computes, in any module."""
    made: list[Ranking] = []
    original = Ranking.__init__

    def counted(self, *arguments):
        made.append(self)
        original(self, *arguments)

    monkeypatch.setattr(Ranking, "__init__", counted)
    return made


@pytest.mark.slow
def test_the_best_two_are_retrained_and_vote(people, experiment, tmp_path, rankings):
    out = tmp_path / "out"
    path = export_best_and_retrain(experiment, people, out, top=2)
    assert len(rankings) == 1, "for the choice, trials.csv and the report"
    photos = read_eval(people)
    for folder in (out, out / "best" / "1", out / "best" / "2"):
        assert submission_errors(folder / "submission.csv", list(photos["photo"]), FACE_MASK) == []
    votes = sum(predict(out / "best" / n, photos) for n in ("1", "2")) / 2
    assert list(pd.read_csv(path)["ans"]) == list(votes.argmax(1))
    about = json.loads((out / "submission.json").read_text())
    assert about["vote"] == "soft"
    assert len(about["members"]) == 2
    assert "promise" not in about and about["promise_of_best_member"]["groups"] > 0
    own = json.loads((out / "best" / "1" / "submission.json").read_text())["promise"]
    assert own == about["promise_of_best_member"] == rankings[0].leaders.facts()["promise"], "the search's"
    predict_and_submit(out / "best" / "1", people, tmp_path / "again")
    assert json.loads((tmp_path / "again" / "submission.json").read_text())["promise"] == own
    assert about["validation"].keys() == {"none"}, "their seeds deal other folds"
    assert about["rule"]["photos"].startswith("all people")
    assert about["data_fingerprint"] == about["searched_on"]
    assert "python -m analysis reproduce " in (out / "report.html").read_text()
    assert "python -m analysis reproduce " not in (out / "best" / "1" / "report.html").read_text()
    assert len(pd.read_csv(out / "trials.csv")) == 2
    assert read_recipe(out / "best" / "1" / "recipe.json").scores["macro_f1"] > 0
    with pytest.raises(UsageError, match="already exists"):
        export_best_and_retrain(experiment, people, out)


def test_nothing_is_trained_when_something_will_be_refused(people, experiment, tmp_path):
    with pytest.raises(UsageError, match="no finished trial of model=resnet34"):
        export_best_and_retrain(experiment, people, tmp_path / "out", model="resnet34")
    with pytest.raises(UsageError, match="no folder"):
        export_best_and_retrain(experiment, tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_trials_folder_is_predicted_as_it_was_validated(people, experiment):
    folder = experiment.folder / "trials" / "t0"
    validation = RunFolder(folder).validation()
    table = read_train(people).table.set_index("photo").loc[validation["photo"]].reset_index()
    again = predict(folder, table[["photo", "path"]])
    assert abs(again - validation[[f"p{n:02d}" for n in range(18)]].to_numpy()).max() < 1e-4


@pytest.mark.slow
def test_the_baselines_recipe_runs_down_to_a_checked_submission(people, tmp_path):
    import timm
    from safetensors.torch import save_file

    weights = tmp_path / "resnet34.safetensors"
    save_file({k: v.contiguous() for k, v in timm.create_model("resnet34").state_dict().items()}, weights)
    recipe = read_recipe(PROJECT / "recipes" / "baseline_resnet34.json")
    changed = {"image_size": "64x48", "epochs": 1, "weights": str(weights), "threads": 1}
    _, about = retrain_and_submit(recipe, people, tmp_path / "out", changed)
    assert (
        submission_errors(tmp_path / "out" / "submission.csv", list(read_eval(people)["photo"]), FACE_MASK)
        == []
    )
    assert about["recipe"]["model"] == "resnet34.tv_in1k"
    assert about["recipe"]["loss"]["class_weights"] == "one_minus_frequency"


def test_a_recipe_is_read_back_and_refused_in_words(tmp_path):
    recipe = Recipe({"model": "resnet18"}, "mine", 3, {"macro_f1": 0.5})
    assert read_recipe(recipe.write(tmp_path / "r.json")) == recipe
    (tmp_path / "bad.json").write_text('{"recipe": {}, "stop": 3}')
    with pytest.raises(UsageError, match="did you mean stop_after"):
        read_recipe(tmp_path / "bad.json")
    with pytest.raises(UsageError, match="can't be read as a recipe"):
        read_recipe(tmp_path / "none.json")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match=r"give the recipe in it: .*config\.json"):
        read_recipe(tmp_path)


@pytest.mark.slow
def test_a_runs_config_is_its_recipe_until_its_best_epochs(people, tmp_path):
    values = {"data": str(people), "epochs": 4, "learning_rate": 1e-9, "fold": "all", "folds": 3, "seed": 1}
    config = parse({**TINY, **values})
    run(config, RunWriter(tmp_path / "run", config), lambda report: None)
    status = RunFolder(tmp_path / "run").status()
    epochs = RunFolder(tmp_path / "run").epochs()  # the network learns nothing: chance says which is best
    epochs["macro_f1"] = epochs["epoch"].map({1: 0.2, 2: 0.5, 3: 0.4, 4: 0.1})
    epochs.to_csv(tmp_path / "run" / "epochs.csv", index=False)
    recipe = read_recipe(tmp_path / "run" / "config.json")
    assert recipe.stop_after == steady(curve_of(tmp_path / "run", "macro_f1"))[1] == 2
    assert recipe.scores["macro_f1"] == status["macro_f1"]
    _, about = retrain_and_submit(recipe, people, tmp_path / "out", {})
    assert about["rule"]["stopped_after_epoch"] == recipe.stop_after
    assert about["validation"] == recipe.scores
    again = read_recipe(tmp_path / "out" / "config.json")
    assert (again.stop_after, again.scores) == (recipe.stop_after, {})
    (tmp_path / "out" / "origin.json").unlink()
    with pytest.raises(UsageError, match=r"origin\.json: is missing"):
        read_recipe(tmp_path / "out" / "config.json")


@pytest.mark.parametrize("path", shipped("recipes", "*.json"), ids=lambda path: path.stem)
def test_every_shipped_recipe_parses_and_says_how_it_is_used(path):
    recipe = read_recipe(path)
    commands = (
        f"Command: python -m analysis retrain recipes/{path.name} ",
        f"Commands: python -m trial --recipe recipes/{path.name} fold=all ",
    )
    assert any(command in recipe.about for command in commands)
    config = parse(recipe.recipe, present=False)
    assert recipe.recipe.keys() <= config.recipe().keys()
