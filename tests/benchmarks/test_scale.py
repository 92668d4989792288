import os

import numpy as np
import pytest

from benchmarks import scale_photos, scale_search
from benchmarks.scale_photos import DrawnPhotos, measured
from dataset.read import read_train


def test_the_drawn_photos_are_a_data_set_that_grows(tmp_path):
    drawn = DrawnPhotos(tmp_path / "data")
    assert drawn.grow(10) == len(read_train(drawn.folder).table) == 14
    assert drawn.grow(21) == len(read_train(drawn.folder).table) == 21


@pytest.mark.slow
def test_memory_is_that_of_the_part_with_its_children(tmp_path):
    drawn = DrawnPhotos(tmp_path / "data")
    drawn.grow(7)
    seconds, peak = measured("stat", drawn.folder, tmp_path)
    assert list(seconds) == ["os.walk and stat"]
    assert 5 < peak < 100
    with pytest.raises(RuntimeError, match="ended with"):
        measured("table", tmp_path / "nowhere", tmp_path)


def test_what_a_part_took_is_said_before_any_rival_is_measured(monkeypatch, capsys):
    order, said = [], []

    def fake(part, data, out):
        order.append(part)
        said.append(capsys.readouterr().err)
        return {part: 1.0}, 2.0

    monkeypatch.setattr(scale_photos, "measured", fake)
    first, *_ = scale_photos.rows(sizes=(7, 14))
    assert said[order.index("stat")] == "7 photos: trial 1 s, 2 MB\n"
    assert order == 2 * [
        "fingerprint",
        "table",
        "check",
        "cache",
        "trial",
        "stat",
        "read",
        "decode",
        "network",
    ]
    assert first.what == "fingerprint, 7 photos"


@pytest.mark.slow
def test_all_parts_are_measured_on_few_photos():
    rows = list(scale_photos.rows(sizes=(140, 280)))
    parts = {row.what.partition(",")[0] for row in rows}
    assert parts == {"fingerprint", "table", "split", "check", "cache", "trial"}
    assert all(np.isfinite(row.ratio()).all() for row in rows)


def test_a_short_search_is_played_killed_and_gone_on_with(monkeypatch):
    monkeypatch.setattr(scale_search, "MEASURED", 4)
    before = os.environ.get("NNI_LOG_DIRECTORY")
    rows = list(scale_search.rows(trials=16))
    assert rows[0].what == "opening after a kill, 16 trials"
    assert {row.what.partition(",")[0] for row in rows[1:]} >= {"suggestion", "assessment"}
    assert all(value >= 0 for row in rows for values in row.values.values() for value in values)
    assert os.environ.get("NNI_LOG_DIRECTORY") == before
