"""Cheap trainings: recorded, kept, compared with the full ones, and handed over to a search."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

pytest.importorskip("nni")

from benchmarks.search import generated, record, rungs, table
from benchmarks.search.rungs import Cheap, both, collect, joined, ranks, read, searches
from benchmarks.search.table import Run, Table
from common.errors import UsageError
from dataset.face_masks.drawing.synthetic import draw

RECIPES, SEED = 20, 0


def whole_of(curves):
    """A table with these curves; predicting the others takes twice as long as predicting the validation."""
    labels = {"validation": np.zeros(10, int), "others": np.zeros(20, int)}
    runs = [
        Run(recipe, SEED, point, "", curves.seconds[recipe], curves.scores[recipe], curves.scores[recipe],
            {"validation": curves.scores[recipe], "others": curves.others[recipe]}, {})
        for recipe, point in enumerate(curves.points)
    ]  # fmt: skip
    return Table(curves.space, curves.scores.shape[1], 18, labels, labels, {}, tuple(runs))


@pytest.fixture(scope="module")
def whole():
    curves = generated.generate("crossing", 0, RECIPES)
    alive = np.flatnonzero(np.isfinite(curves.scores).all(1))
    curves = curves.part(alive) if curves.default in alive else curves
    even = np.ones_like(curves.seconds)
    return whole_of(replace(curves, scores=np.nan_to_num(curves.scores), seconds=even, default=0))


def cheap(whole, rung="people", sign=1.0, seconds=0.25, predicting=0.1, count=None):
    return [
        Cheap(rung, run.recipe, SEED, "", sign * run.scores["others"], np.full(whole.epochs, seconds), predicting)
        for run in whole.runs[:count]
    ]  # fmt: skip


def test_what_is_written_is_read_again_and_joins_what_comes_later(whole, tmp_path):
    runs = cheap(whole, count=5)
    again = read(rungs.write(runs, tmp_path / "rungs.parquet"))
    later = joined(again, [replace(again[2], failed="nan"), replace(again[2], rung="size")])
    assert [run.recipe for run in again] == [0, 1, 2, 3, 4]
    assert [(run.rung, run.failed) for run in later if run.recipe == 2] == [("people", "nan"), ("size", "")]
    np.testing.assert_array_equal(again[1].scores, runs[1].scores)
    with pytest.raises(UsageError, match="not a table of cheap runs"):
        read(table.SHIPPED)


def test_costs_are_those_of_a_search(whole):
    """An epoch of 1 s predicts 30 photos; predicting the 10 of the validation takes .1 s."""
    found = both(whole, cheap(whole, seconds=0.25, predicting=0.1), "people")
    assert found.full.seconds[0, 0] == pytest.approx(0.8)
    assert found.cost == pytest.approx(0.25 / 0.8)


def test_a_recipe_that_was_trained_under_load_does_not_change_the_cost(whole):
    runs = cheap(whole)
    runs[3] = replace(runs[3], seconds=runs[3].seconds * 9)
    found = both(whole, runs, "people")
    np.testing.assert_allclose(found.cheap.seconds / found.full.seconds, 0.25 / 0.8)


def test_ranks_are_compared_with_the_full_training_on_the_others(whole):
    rung, two, four, full = ranks(both(whole, cheap(whole), "people"))
    assert (two.what, two.cost, full.cost) == (f"2 of {whole.epochs} epochs", 2 / whole.epochs, 1)
    scores = np.array([run.scores["validation"] for run in whole.runs])
    others = np.array([run.scores["others"] for run in whole.runs])
    final = others[np.arange(len(scores)), scores.argmax(1)]
    assert full.correlation == pytest.approx(spearmanr(scores.max(1), final)[0])
    assert two.correlation == pytest.approx(spearmanr(scores[:, :2].max(1), final)[0])
    assert rung.correlation == pytest.approx(spearmanr(others.max(1), final)[0])
    assert all(line.low <= line.correlation <= line.high for line in (rung, two, four, full))
    assert rung.place <= 3


def test_a_failed_recipe_is_the_last(whole):
    runs = cheap(whole)
    best = int(both(whole, runs, "people").full.others.max(1).argmax())
    runs[best] = replace(runs[best], failed="nan", scores=runs[best].scores[:2])
    (rung, *_) = ranks(both(whole, runs, "people"))
    assert rung.place == len(runs)


@pytest.mark.slow
def test_a_search_after_a_cheap_experiment_pays_for_it(whole):
    true = searches(both(whole, cheap(whole, seconds=0.001), "people"), trials=10, repetitions=6)
    false = searches(both(whole, cheap(whole, sign=-1, seconds=0.001), "people"), trials=10, repetitions=6)
    dear = searches(both(whole, cheap(whole, seconds=0.5), "people"), trials=10, repetitions=6)
    assert true.alone == false.alone == dear.alone
    assert true.after < false.after
    assert dear.after - true.after == pytest.approx(10 * 0.499 / 0.8, rel=0.01)
    assert true.saved == pytest.approx(true.alone - true.after)
    assert true.low <= true.saved <= true.high


def test_too_few_runs(whole):
    with pytest.raises(UsageError, match="people: three recipes, the default among them"):
        both(whole, cheap(whole, count=2), "people")


@pytest.mark.slow
def test_cheap_runs_are_recorded_once(tmp_path, monkeypatch, capsys):
    """For real, on drawn people; a killed recorder goes on with what is missing."""
    data = draw(tmp_path / "people", 60, height=64, width=48)
    point = record.DEFAULT | {"model": {"_name": "mobilenetv3_small_050"}}
    points = [point | {"learning_rate": rate} for rate in (0.001, 0.01)]
    monkeypatch.setattr(record, "EPOCHS", 2)
    monkeypatch.setattr(record, "recipes", lambda count: points)
    trained = []
    training = record.recipe.training
    monkeypatch.setattr(
        record.recipe, "training", lambda *a: trained.append(a[3]["group"].nunique()) or training(*a)
    )
    folder = tmp_path / "out"
    record.main([str(data), "--out", str(folder), "--rung", "people"])
    (folder / "people" / "001-0.npz").unlink()
    record.main([str(data), "--out", str(folder), "--rung", "people", "--rung", "size"])
    printed = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert printed == [[rung, f"{number}-0.npz"] for rung, number in
                       (("people", "000"), ("people", "001"), ("people", "001"), ("size", "000"), ("size", "001"))]  # fmt: skip
    assert max(trained[:3]) < min(trained[3:]), "fewer people"
    found = collect(folder)
    assert [(run.rung, run.recipe) for run in found] == [(r, n) for r in ("people", "size") for n in range(2)]
    assert all(len(run.scores) == 2 and (run.seconds > 0).all() and run.predicting > 0 for run in found)


@pytest.mark.slow
def test_the_command_prints_both_figures(whole, tmp_path, monkeypatch, capsys):
    parquet = rungs.write([*cheap(whole), *cheap(whole, "size")], tmp_path / "rungs.parquet")
    monkeypatch.setattr(table, "read", lambda path: whole)
    monkeypatch.setattr(rungs, "TRIALS", (6,))
    rungs.main(["--out", str(parquet), "--repetitions", "2"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines if "recipes" in line] == [
        "people",
        "2",
        "4",
        "8",
        "size",
        "2",
        "4",
        "8",
    ]
    assert [line[0] for line in lines if "saves" in line] == ["people", "size", "2", "4"]
    with pytest.raises(UsageError, match="give the FOLDER"):
        rungs.main(["--out", str(tmp_path / "none.parquet")])


def test_what_is_recorded():
    jobs = record.jobs([{"image_size": "48x36"}, {"image_size": "32x24"}], ["people", "size"])
    assert jobs == [(0, 0, "people"), (1, 0, "people"), (0, 0, "size")], "32x24 is small already"


def test_a_folder_without_runs(tmp_path):
    with pytest.raises(UsageError, match="record them with"):
        collect(tmp_path)
