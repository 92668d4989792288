"""A greedy soup of runs with a common start."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from analysis.prediction import predict_and_submit
from analysis.recipes import read_recipe
from analysis.report.run import write_run_report
from analysis.soup import soup
from analysis.submit import about_run
from analysis.trials.ranking import rank
from analysis.trials.runs import any_table
from common.errors import UsageError
from tests.analysis import example_search
from tests.analysis.fake_run import untrained
from tests.conftest import TINY
from trial import run as trial_run
from trial.config import parse
from trial.run_folder.predictions import scores_of
from trial.run_folder.record import RunFolder, RunWriter


@pytest.fixture(scope="module")
def runs(people, tmp_path_factory):
    """Two runs fine-tuned from one network's weights, with other learning rates; all folds in one."""
    folder = tmp_path_factory.mktemp("soup")
    start = parse({**TINY, "data": str(people), "epochs": 1})
    trial_run.run(start, RunWriter(folder / "start", start), print)
    found = []
    for name, rate in (("a", 0.002), ("b", 0.001)):
        values = {"weights": str(folder / "start" / "weights.safetensors"), "learning_rate": rate}
        config = parse({**TINY, "data": str(people), "fold": "all", "folds": 2, "epochs": 1, **values})
        writer = RunWriter(folder / name, config)
        trial_run.run(config, writer, print)
        writer.end("done")
        found.append(folder / name)
    return found


@pytest.mark.slow
def test_the_soup_is_the_mean_of_the_runs_that_raise_its_score(runs, people, tmp_path, capsys):
    members = soup(runs, people, tmp_path / "soup")
    said = capsys.readouterr().out
    own = {run: scores_of(RunFolder(run).validation()).macro_f1 for run in runs}
    assert members[0] == max(runs, key=own.get)
    written = RunFolder(tmp_path / "soup")
    kept = scores_of(written.validation()).macro_f1
    assert kept >= max(own.values())
    assert (len(members) == 2) == ("kept" in said) == (kept > max(own.values()))
    for path in written.weights_files():
        states = [load_file(run / path.name) for run in members]
        for key, value in load_file(path).items():
            if value.is_floating_point():
                torch.testing.assert_close(value, sum(state[key] for state in states) / len(states))
    assert written.origin()["soup"] == [str(run) for run in members]
    assert written.status()["state"] == "done"
    promise = written.origin()["promise"]
    assert f"soup of {len(members)} of 2 runs promises macro-F1 {promise['macro_f1']:.3f} " in said
    assert promise["macro_f1"] <= kept and promise["chosen_from"] == 3
    _, about = predict_and_submit(tmp_path / "soup", people, tmp_path / "out")
    assert about["promise"] == promise
    assert "promise: macro-F1 " in capsys.readouterr().out


@pytest.mark.slow
def test_its_promise_is_corrected_for_the_choice_of_its_runs_epochs_too(runs, people, tmp_path, monkeypatch):
    soup(runs, people, tmp_path / "plain")
    monkeypatch.setattr("analysis.soup._promised", lambda run, metric, score: score - 0.005)
    soup(runs, people, tmp_path / "lower")
    plain, lower = (RunFolder(tmp_path / name).origin()["promise"] for name in ("plain", "lower"))
    assert lower["macro_f1"] == pytest.approx(plain["macro_f1"] - 0.005, abs=2e-4)
    assert lower["corrected_by"] == pytest.approx(plain["corrected_by"] + 0.005, abs=2e-4)


def test_a_soup_beside_its_runs_is_listed_with_its_promise_and_not_ranked(tmp_path):
    """It has no epochs by which it would be ranked, and its score is of the best of many means."""
    for name in ("a", "b", "soup"):
        untrained(tmp_path / name, 0, example_search.validation(30))
        if name != "soup":
            (tmp_path / name / "epochs.csv").write_text("epoch,macro_f1,fold\n1,0.2,0\n")
    promise = {"macro_f1": 0.4, "low": 0.3, "high": 0.5, "chosen_from": 3, "corrected_by": 0.01,
               "choice": "the best of 2 runs and 1 mean of weights"}  # fmt: skip
    origin = RunFolder(tmp_path / "soup").origin() | {"soup": ["a", "b"], "promise": promise}
    (tmp_path / "soup" / "origin.json").write_text(json.dumps(origin))
    ranking = rank(any_table(str(tmp_path)))
    assert set(ranking.ranked["trial"]) == {"a", "b"} and ranking.leaders.promise is not None
    assert not ranking.leaders.notes
    (soup_row,) = (row for _, row in ranking.unranked.iterrows())
    assert soup_row["state"] == "soup"
    assert soup_row["reason"].startswith(
        "the mean of the weights of 2 runs, not a recipe; promises macro-F1 0.400"
    )
    assert about_run(tmp_path / "soup")["promise"] == promise
    page = write_run_report(tmp_path / "r.html", tmp_path / "soup").read_text()
    assert "The mean of the weights of 2 runs, validated on fold 0 of 5." in page
    assert "epochs and 0 s" not in page
    with pytest.raises(UsageError, match=r"which no recipe trains; give one of these: a/config\.json, b/"):
        read_recipe(tmp_path / "soup" / "config.json")


def test_a_run_that_lowers_the_score_is_left_out(runs, people, tmp_path, capsys):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in runs[1].iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    for path in RunFolder(broken).weights_files():
        state = {key: torch.zeros_like(value) for key, value in load_file(path).items()}
        save_file(state | {"fc.bias": torch.arange(18.0) * 99}, path)
    table = RunFolder(runs[1]).validation()
    columns = [name for name in table if name.startswith("p") and name[1:].isdigit()]
    worst = table.assign(**{name: float(name == "p17") for name in columns})
    worst.rename(columns={"group": "person"}).to_parquet(broken / "validation.parquet", index=False)
    assert soup([broken, runs[0]], people, tmp_path / "soup") == [runs[0]]
    assert "left out" in capsys.readouterr().out


def test_runs_without_a_common_start_are_refused_with_every_difference(runs, people, tmp_path):
    config = RunFolder(runs[0]).config()
    validation = example_search.validation(200)
    fresh, other, joint = tmp_path / "fresh", tmp_path / "other", tmp_path / "joint"
    untrained(fresh, 0, validation)
    both = {"model": "test_resnet.r160_in1k+test_efficientnet.r160_in1k", "weights": "none+none"}
    untrained(joint, 0, validation, values=both)
    untrained(other, 0, validation, values={"image_size": "48x48", "model": "test_vit.r160_in1k"})
    with pytest.raises(UsageError) as error:
        soup([fresh, other, joint, runs[0]], people, tmp_path / "out")
    said = str(error.value)
    for words in (
        "fresh: was trained from random weights", "joint: was trained from random weights (weights=none+none)",
        "other: has model=test_vit.r160_in1k",
        "other: prepares photos otherwise", f"a: has weights={config.weights}",
        "photos that all runs share",
    ):  # fmt: skip
        assert words in said
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="2 different runs"):
        soup([runs[0], runs[0]], people, tmp_path / "out")
    untrained(tmp_path / "retrained", 0)
    with pytest.raises(UsageError, match=r"validation\.parquet: does not exist"):
        soup([runs[0], tmp_path / "retrained"], people, tmp_path / "out")


def test_networks_that_differ_are_refused_by_the_parameter_and_dropout_is_none_of_them(people, tmp_path):
    validation = example_search.validation(200)
    weights = str(untrained(tmp_path / "start").folder / "weights.safetensors")
    values = {
        "a": {"head": {"_name": "factors", "subclasses": 2}},
        "b": {"head": {"_name": "factors", "subclasses": 4, "dropout": 0.5}},
        "c": {"head": {"_name": "classes", "dropout": 0.5}},
        "d": {"head": {"_name": "classes"}},
    }
    both = {"model": "test_resnet.r160_in1k+test_efficientnet.r160_in1k", "weights": "none+none"}
    for name, own in {**values, "e": both, "f": both | {"join": "features"}}.items():
        untrained(tmp_path / name, 0, validation, values=own)
        if "+" not in own.get("weights", ""):
            config = json.loads((tmp_path / name / "config.json").read_text())
            (tmp_path / name / "config.json").write_text(json.dumps(config | {"weights": weights}))
    for pair, said in (
        ("ab", ["has head.subclasses=4, {0} head.subclasses=2; a soup needs the same"]),
        ("ac", ["has head=classes, {0} head=factors; a soup needs the same"]),
        ("ef", ["has join=features, {0} join=logits; a soup needs the same"]),
    ):
        runs = [tmp_path / name for name in pair]
        with pytest.raises(UsageError) as error:
            soup(runs, people, tmp_path / "out")
        found = [words for words in error.value.errors if "has " in words]
        assert found == [f"{runs[1]}: {words.format(runs[0])}" for words in said]
    with pytest.raises(ValueError, match="lacks the photo"):  # it predicts; the drawn answers are of others
        soup([tmp_path / "c", tmp_path / "d"], people, tmp_path / "out")


def test_runs_of_which_one_was_trained_on_what_another_was_validated_on_are_refused(runs, people, tmp_path):
    """With fold=all another seed deals other folds of the same photos."""
    other = shutil.copytree(runs[1], tmp_path / "other")
    table = RunFolder(other).validation().rename(columns={"group": "person"})
    moved = table["person"] == table["person"].iloc[0]
    table.assign(fold=table["fold"].where(~moved, 1 - table["fold"])).to_parquet(other / "validation.parquet")
    with pytest.raises(UsageError, match=f"holds {moved.sum()} photos out in other folds than .*a mean of"):
        soup([runs[0], other], people, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_network_and_the_last_layer_of_one_are_refused(runs, people, tmp_path):
    """Predicted by one run's backbone, all networks of the soup would be others than those that were validated."""
    other = shutil.copytree(runs[1], tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"features": "cached"}))
    with pytest.raises(
        UsageError, match=r"other: has features=cached, .* features=none; a soup needs the same"
    ):
        soup([runs[0], other], people, tmp_path / "out")
