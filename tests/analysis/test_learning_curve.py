"""--learning-curve: the recipe is trained on fewer of its trial's groups, too, for a promise for all of them."""

import json
import shutil
from dataclasses import replace

import pytest

from analysis.__main__ import app
from analysis.learning_curve import FOLDER, curve_of_recipe
from analysis.pipeline import export_best_and_retrain, retrain_and_submit
from analysis.recipes import Recipe, read_recipe
from analysis.trust.leaders import OF_TRIAL
from common.errors import UsageError
from dataset.read import read_train
from tests.analysis.fake_experiment import trained
from tests.conftest import TINY, call
from trial.config import parse
from trial.run_folder.record import RunFolder


@pytest.fixture(scope="module")
def experiment(people, tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "xyz", people)


@pytest.fixture
def recipe(experiment):
    return read_recipe(experiment.folder / "trials" / "t0" / "config.json")


def test_four_fifths_of_the_trials_people_are_trained_on_with_its_split(recipe, people):
    config = recipe.config({"data": str(people), "device": "cpu"})
    curve = curve_of_recipe(recipe, config, *read_train(people))
    assert curve.groups == (18, 24, 30) and curve.called == "people", (
        "of .8, each kind of four would keep four"
    )
    assert curve.power == pytest.approx(0.7757, abs=1e-4)
    assert curve.config.recipe() == config.recipe() | {"train_fraction": 0.7}
    assert (curve.config.data, curve.config.device) == (str(people), "cpu")


def test_what_has_no_promise_to_begin_with_is_refused_before_anything_is_trained(recipe, people, tmp_path):
    def refused(recipe: Recipe, words: str, **values):
        with pytest.raises(UsageError, match=words):
            retrain_and_submit(recipe, people, tmp_path / "out", values, learning_curve=True)
        assert not (tmp_path / "out").exists()

    refused(Recipe(parse(TINY).recipe()), "--learning-curve: needs the run folder of the recipe's trial")
    refused(replace(recipe, folder=None), "give the config.json of that run, or the experiment")
    refused(replace(recipe, unfinished={"state": "stopped"}), "t0 has not finished")
    refused(recipe, r"no promise to begin with: another recipe than was validated: epochs=3", epochs=3)
    shutil.copytree(recipe.folder, tmp_path / "small")
    small = json.loads((tmp_path / "small" / "config.json").read_text()) | {"train_fraction": 0.2}
    (tmp_path / "small" / "config.json").write_text(json.dumps(small))
    few = read_recipe(tmp_path / "small" / "config.json")
    refused(few, r"the 6 people that the trial was trained on are too few to say what 30 will gain")
    (tmp_path / "small" / "epochs.csv").unlink()
    (tmp_path / "small" / "validation.parquet").unlink()
    config = few.config({"data": str(people)})
    with pytest.raises(UsageError, match="promises nothing; its curve or validation answers are missing"):
        curve_of_recipe(replace(few, scores=recipe.scores), config, *read_train(people))
    origin = json.loads((tmp_path / "small" / "origin.json").read_text())
    (tmp_path / "small" / "origin.json").write_text(json.dumps(origin | {"data_fingerprint": "f" * 64}))
    refused(replace(recipe, folder=tmp_path / "small"), "small was trained on other data than")


@pytest.mark.slow
def test_the_promise_for_all_people_is_kept_and_said_and_its_training_is_used_again(
    recipe, people, tmp_path, monkeypatch, capsys
):
    def interrupt(*_):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("analysis.pipeline.retrain", interrupt)
        with pytest.raises(KeyboardInterrupt):
            retrain_and_submit(recipe, people, out, {"cache_limit": 0}, learning_curve=True)
    assert "learning curve: the recipe is trained on 18 of its trial's 24 people" in capsys.readouterr().out
    _, about = retrain_and_submit(recipe, people, out, {"cache_limit": 0}, learning_curve=True)
    said = capsys.readouterr().out
    assert "learning curve: the recipe" not in said and "promise: macro-F1 " in said
    assert RunFolder(out / FOLDER).config().train_fraction == 0.7
    promise = about["promise"]
    curve, trial = promise["learning_curve"], promise[OF_TRIAL]
    assert curve["trained_on"] == {"smaller": 18, "trial": 24, "all": 30}
    assert promise["macro_f1"] == pytest.approx(trial["macro_f1"] + curve["gain"], abs=2e-4)
    assert promise["high"] == pytest.approx(min(1, trial["high"] + curve["gain_high"]), abs=2e-4)
    assert about["validation"]["macro_f1"] == recipe.scores["macro_f1"]
    assert "by the learning curve" in (out / "report.html").read_text()
    said = call(app, "predict", out, "--data", people, "--out", tmp_path / "again").stdout
    assert "trained on all 30, by the learning curve" in said and "; the trial promises macro-F1" in said


@pytest.mark.slow
def test_the_best_of_a_search_promises_for_all_people(experiment, people, tmp_path):
    out = tmp_path / "out"
    export_best_and_retrain(experiment, people, out, 2, values={"cache_limit": 0}, learning_curve=True)
    about, own = (json.loads((out / name / "submission.json").read_text()) for name in (".", "best/1"))
    assert about["promise_of_best_member"] == own["promise"] and own["promise"][OF_TRIAL]["chosen_from"] == 1
    assert OF_TRIAL not in about["members"][1]["promise"]
    assert "The retrained network promises macro-F1" in (out / "report.html").read_text()
