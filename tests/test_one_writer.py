"""Every command that writes into a folder of its own refuses one that another process writes into."""

import pytest

from analysis.ensemble import ensemble
from analysis.lr_range.measure import write_lr_range
from analysis.pipeline import export_best, export_best_and_retrain, retrain_and_submit
from analysis.prediction import predict_and_submit
from analysis.soup import soup
from common.errors import UsageError
from dataset.face_masks.drawing.synthetic import draw
from experiments.demo import demo
from tests.common.test_files import another_process

WRITERS = {
    "demo": lambda out: demo(out=out),
    "draw": lambda out: draw(out, 30),
    "lr_range": lambda out: write_lr_range({}, out),
    "export_best": lambda out: export_best(None, out),
    "retrain": lambda out: retrain_and_submit(None, out, out, {}),
    "export_best_and_retrain": lambda out: export_best_and_retrain(None, out, out),
    "predict": lambda out: predict_and_submit(out, out, out),
    "ensemble": lambda out: ensemble([], out, out),
    "soup": lambda out: soup([], out, out),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_second_writer_is_refused_and_touches_nothing(write, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "work").write_text("of the first")
    with another_process(out) as first, pytest.raises(UsageError) as caught:
        write(out)
    assert f"{out}: another process ({first.pid}) is writing into this folder; wait" in str(caught.value)
    assert (out / "work").read_text() == "of the first"
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["out"], "nothing moved aside"
