import numpy as np
import pytest

from common.errors import errors_of
from dataset.read import read_eval, read_train, scan_train
from dataset.task import Bands, Task
from tests.dataset.refusals import refused
from trial.config import parse, task_errors
from trial.learning.inits import lda
from trial.models.heads import HEADS
from trial.recipe import _targets

PLANTS = [
    f"{kind}{owner}.jpg,{kind},{cm},{kind}{owner}"
    for kind in ("fern", "moss")
    for owner, cm in enumerate((3, 9.5, 10, 12, 30, 41))
]
HEADER = "path,kind,size (cm) cut at 10 30,group"


def test_a_column_with_cut_points_is_a_factor_of_ordered_bands_and_its_numbers_are_kept(write):
    task, table = read_train(write(*PLANTS, header=HEADER))
    assert task.factors == {"kind": ("fern", "moss"), "size_band": ("<10", "10-<30", "30+")}
    assert task.classes[:3] == ("fern <10", "fern 10-<30", "fern 30+")
    assert task.bands == {"size_band": Bands("size", (10, 30), "cm")}
    assert table["size"].tolist() == [3, 9.5, 10, 12, 30, 41] * 2
    assert table["size_band"].tolist() == [0, 0, 1, 1, 2, 2] * 2
    assert Task.from_json(task.to_json()) == task


def test_integers_stay_integers_and_a_unit_may_be_left_out(write):
    lines = [line.replace("9.5", "9") for line in PLANTS]
    task, table = read_train(write(*lines, header="path,kind,Size Cut at 10,group"))
    assert task.bands["Size_band"].title == "Size" and task.bands["Size_band"].text(3) == "3"
    assert table["Size"].dtype.kind == "i"


@pytest.mark.parametrize(
    "columns", ["path,size cut at 10 30,group", "path,label,size cut at 10 30,kind,group"]
)
def test_bands_alone_or_beside_labels(write, columns):
    lines = []
    for line in PLANTS:
        path, kind, cm, group = line.split(",")
        size = "small" if float(cm) < 10 else "middle" if float(cm) < 30 else "large"
        has = {"path": path, "label": f"{size} {kind}", "size cut at 10 30": cm, "kind": kind, "group": group}
        lines.append(",".join(has[name] for name in columns.split(",")))
    task, table = read_train(write(*lines, header=columns))
    assert task.factors["size_band"] == ("<10", "10-<30", "30+")
    assert task.n_classes == (6 if "kind" in columns else 3)
    if "label" in columns:
        assert task.classes == tuple(
            f"{size} {kind}" for size in ("small", "middle", "large") for kind in ("fern", "moss")
        )
    assert (table["label"] == task.label(table)).all()


def test_the_number_of_a_photo_to_predict_may_be_unknown(write):
    lines = [f"{line},train" for line in PLANTS] + ["new.jpg,,,x,eval", "known.jpg,fern,11,y,eval"]
    data = write(*lines, header=f"{HEADER},split")
    read_train(data)
    assert read_eval(data)["class"].tolist() == ["", "fern 10-<30"]


def test_subclasses_are_of_the_bands(write):
    task, table = read_train(write(*PLANTS, header=HEADER))
    config = parse({"weights": "none", "head": {"_name": "factors", "subclasses": 2}})
    assert task_errors(config, task) == []
    assert config.head.build(HEADS, task).subclasses == (1, 2)
    kind, size = _targets(table, config.head.build(HEADS, task), task)
    assert kind.numbers is None and size.numbers.tolist() == table["size"].tolist()
    weight, _ = lda(shrinkage=0.5)(np.eye(12)[:, :4], [kind, size], table["group"].to_numpy())
    assert weight.shape == (2 + 3 * 2, 4)


def test_all_mistakes_are_said_at_once(write):
    lines = [*PLANTS, "a.jpg,moss,tall,a", "b.jpg,moss,inf,b", "c.jpg,moss,,c"]
    data = write(*lines, header=HEADER.replace("30", "30 90 100"), missing=("c.jpg",))
    assert [message.partition("photos.csv")[2] for message in scan_train(data).errors] == [
        " line 16: no file c.jpg",
        " lines 14, 15: size 'tall' is not a number",
        ": size cut at 10 30 90 100: no photo to train on is in the bands 90-<100, 100+; move or leave out a "
        "cut point",
        " line 16: no size",
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("size cut at", "names no cut point; write NAME (UNIT) cut at NUMBER NUMBER ..."),
        ("size cut at ten 30", "'ten' is not a cut point"),
        ("size cut at nan inf", "'nan', 'inf' are no cut points"),
        ("size cut at 30 10", "do not ascend"),
        ("size cut at 10 10", "do not ascend"),
        ("(cm) cut at 10", "has no name"),
        ("kind cut at 10", "the name kind is taken"),
        ("group cut at 10", "the name group is taken"),
        ("photo cut at 10", "the name photo is taken"),
    ],
)
def test_wrong_cut_points_are_refused_with_the_other_mistakes(write, name, why):
    data = write(*PLANTS, header=f"path,kind,{name},group", missing=("fern0.jpg",))
    missing, wrong = sorted(scan_train(data).errors, key=lambda message: why in message)
    assert "no file fern0.jpg" in missing and repr(name) in wrong and why in wrong


@pytest.mark.parametrize(
    ("number", "why"), [("9", "is in the band 30+"), ("", "lines 2, 3, 4, ... (6 in all): no size")]
)
def test_bands_alone_of_which_all_photos_are_in_one_or_none(write, number, why):
    """There is no factor then, and so no class."""
    data = write(*(f"{n}.jpg,{number},g{n}" for n in range(6)), header="path,size cut at 30,group")
    assert why in refused(read_train, data)


def test_labels_that_are_not_of_the_bands_are_refused(write):
    (message,) = errors_of(read_train, write(*PLANTS, header="path,label,size cut at 10 30,group"))
    assert "the labels are not the combinations of the bands of size and other columns; remove" in message
