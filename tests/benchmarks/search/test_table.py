"""The table of learning curves: from the recorder's files into parquet and back."""

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score

from benchmarks.search import table
from benchmarks.search.collect import collect, joined
from benchmarks.search.table import SIDES, read, write
from common.errors import UsageError

EPOCHS, CLASSES = 3, 4
POINTS = [{"loss": {"_name": "focal", "gamma": 1.1}, "image_size": "48x36"}, {"loss": {"_name": "plain"}}]


def record(folder, recipe, seed, epochs=EPOCHS, failed="", seconds=2.0, people=5):
    rng = np.random.default_rng((recipe, seed))
    labels = {side: np.arange(people * 4) % CLASSES for side in SIDES}
    run = {side: rng.integers(0, CLASSES, (epochs, people * 4)).astype(np.uint8) for side in SIDES}
    groups = {side: np.repeat([f"{side[0]}{n:03d}" for n in range(people)], 4) for side in SIDES}
    np.savez_compressed(
        folder / f"{recipe:03d}-{seed}.npz", **run, failed=np.array(failed),
        seconds=seconds * np.arange(1, epochs + 1), train_loss=rng.random(epochs), validation_loss=rng.random(epochs),
        **{f"{side}_label": labels[side] for side in SIDES}, **{f"{side}_group": groups[side] for side in SIDES},
    )  # fmt: skip
    return run, labels


@pytest.fixture
def folder(tmp_path):
    record(tmp_path, 0, 0, seconds=2.0)
    record(tmp_path, 1, 0, epochs=1, failed="the loss is nan", seconds=5.0)
    record(tmp_path, 0, 1, seconds=1.5)
    record(tmp_path, 1, 1, epochs=0, failed="the loss is nan")
    (tmp_path / "001-2.part").write_bytes(b"half a run")
    return tmp_path


def test_what_is_written_is_read_again(folder, tmp_path):
    before = collect(folder, POINTS, EPOCHS, CLASSES)
    after = read(write(before, tmp_path / "table.parquet"))
    assert (after.space, after.epochs, after.n_classes) == (before.space, EPOCHS, CLASSES)
    assert after.origin == json.loads(json.dumps(before.origin))
    assert len(after.runs) == 4
    for one, other in zip(after.runs, before.runs, strict=True):
        assert (one.recipe, one.seed, one.point, one.failed) == (
            other.recipe,
            other.seed,
            other.point,
            other.failed,
        )
        for name in table.PER_EPOCH:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        for side in SIDES:
            np.testing.assert_array_equal(one.scores[side], other.scores[side])
            np.testing.assert_array_equal(one.answers[side], other.answers[side])
    for side in SIDES:
        np.testing.assert_array_equal(after.labels[side], before.labels[side])
        np.testing.assert_array_equal(after.groups[side], np.repeat(np.arange(5), 4))


def test_scores_are_macro_f1_over_all_classes_and_seconds_are_of_one_epoch(folder):
    run, labels = record(folder, 0, 0)
    first = collect(folder, POINTS, EPOCHS, CLASSES).runs[0]
    for side in SIDES:
        expected = [
            f1_score(labels[side], row, labels=range(CLASSES), average="macro", zero_division=0)
            for row in run[side]
        ]
        assert first.scores[side] == pytest.approx(expected)
    assert first.seconds.tolist() == [2.0, 2.0, 2.0]


def test_curves_end_at_a_failure(folder):
    found = collect(folder, POINTS, EPOCHS, CLASSES)
    assert found.seeds == (0, 1)
    curves = found.curves(0)
    assert np.isnan(curves.scores).tolist() == [[False] * 3, [False, True, True]]
    assert (curves.lived(0), curves.lived(1)) == (3, 2)
    assert found.curves(1).lived(1) == 1
    assert curves.final[0] == curves.scores[0].max()
    assert curves.final[1] == -np.inf
    assert curves.points == tuple(POINTS)


def test_an_epoch_costs_the_fastest_of_those_that_do_the_same_work(tmp_path):
    points = [
        {"model": {"_name": "small", "drop": 0.1}, "image_size": "48x36", "rate": 0.1},
        {"model": {"_name": "small", "drop": 0.2}, "image_size": "48x36", "rate": 0.3},
        {"model": {"_name": "small", "drop": 0.2}, "image_size": "64x48", "rate": 0.3},
        {"model": {"_name": "large"}, "image_size": "48x36", "rate": 0.3},
    ]
    for recipe, seed, seconds in ((0, 0, 2), (1, 0, 3), (0, 1, 1.5), (2, 0, 4)):
        record(tmp_path, recipe, seed, seconds=seconds)
    record(tmp_path, 3, 0, epochs=0, failed="the loss is nan")
    curves = collect(tmp_path, points, EPOCHS, CLASSES).curves(0)
    median = (1.5 + 4) / 2  # of the large one nothing is known
    assert curves.seconds.tolist() == [[1.5] * 3, [1.5] * 3, [4.0] * 3, [median] * 3]
    assert curves.compute == 3 * 1.5 + 3 * 1.5 + 3 * 4 + median


def test_a_seed_that_is_being_recorded_is_not_among_the_seeds(folder):
    (folder / "001-1.npz").unlink()
    assert collect(folder, POINTS, EPOCHS, CLASSES).seeds == (0,)


def test_part_keeps_the_default(folder):
    curves = collect(folder, POINTS, EPOCHS, CLASSES).curves(0)
    part = curves.part(np.array([1, 0]))
    assert part.default == 1
    assert part.points == tuple(POINTS[::-1])
    np.testing.assert_array_equal(part.scores, curves.scores[::-1])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: [file.unlink() for file in folder.glob("*.npz")], "no runs"),
        (lambda folder: record(folder, 2, 0), "recipe 2, but there are 2"),
        (lambda folder: record(folder, 1, 2, epochs=2), "2 epochs, not 3"),
        (lambda folder: record(folder, 1, 2, people=6), "other people"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(folder, spoil, message):
    spoil(folder)
    with pytest.raises(UsageError, match=message):
        collect(folder, POINTS, EPOCHS, CLASSES)


@pytest.mark.parametrize("content", [None, b"no parquet"])
def test_a_file_that_is_no_table_is_refused(tmp_path, content):
    if content:
        (tmp_path / "table.parquet").write_bytes(content)
    with pytest.raises(UsageError, match="not a table of learning curves"):
        read(tmp_path / "table.parquet")


def test_another_parquet_is_refused(tmp_path):
    import pandas as pd

    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(UsageError, match="not a table of learning curves"):
        read(tmp_path / "a.parquet")


def test_runs_that_were_recorded_later_join_those_of_a_table(folder, tmp_path):
    (later := tmp_path / "later").mkdir()
    record(later, 0, 0, seconds=1.0)  # again
    record(later, 1, 3)
    both = joined(collect(folder, POINTS, EPOCHS, CLASSES), collect(later, POINTS, EPOCHS, CLASSES))
    assert [(run.seed, run.recipe) for run in both.runs] == [(0, 0), (0, 1), (1, 0), (1, 1), (3, 1)]
    assert both.runs[0].seconds.tolist() == [1.0, 1.0, 1.0]
    (others := tmp_path / "others").mkdir()
    record(others, 0, 0, people=6)
    with pytest.raises(UsageError, match="or people than the new runs"):
        joined(both, collect(others, POINTS, EPOCHS, CLASSES))
