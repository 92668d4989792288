import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from analysis.eda import facts, plots
from analysis.eda.page import write_eda
from common.errors import UsageError
from dataset import factors
from dataset.face_masks.drawing.synthetic import draw
from dataset.face_masks.labels import FACE_MASK
from dataset.pixels import read_photo
from dataset.read import scan_train


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    return draw(tmp_path_factory.mktemp("drawn") / "set", people=18, folds=3, height=48, width=36)


@pytest.fixture
def broken(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "set"))


def text_of(data: Path, out: Path) -> str:
    page = write_eda(data, out)
    assert [file.name for file in out.iterdir()] == ["eda.html"]
    return re.sub(r"<script.*?</script>", "", page.read_text(), flags=re.DOTALL)


def small_table() -> pd.DataFrame:
    """A man of 29 and a woman of 60, masked twice each; she has a bare photo too."""
    rows = [("a", 0, 0, 29, 0, 0), ("a", 0, 0, 29, 0, 0), ("b", 0, 1, 60, 2, 5), ("b", 0, 1, 60, 2, 5),
            ("b", 2, 1, 60, 2, 17)]  # fmt: skip
    columns = ["group", "mask", "gender", "age", "age_band", "label"]
    return pd.DataFrame(rows, columns=columns).assign(photo=[f"{n}.jpg" for n in range(5)])


def test_counts_by_hand():
    mask = facts.counts_by(FACE_MASK, small_table(), "mask")
    assert mask["name"].tolist() == ["wear", "incorrect", "not worn"]
    assert mask["groups"].tolist() == [2, 0, 1]
    assert mask["photos"].tolist() == [4, 0, 1]
    assert mask["fraction"].tolist() == [0.8, 0, 0.2]
    assert facts.counts_by(FACE_MASK, small_table(), "label")["photos"].sum() == 5


def test_people_by_gender_and_band_by_hand():
    assert factors.of_groups(FACE_MASK, small_table()) == ("gender", "age_band")
    counts = factors.groups_by_two(FACE_MASK, small_table(), "gender", "age_band")
    assert counts.to_numpy().tolist() == [[1, 0, 0, 1], [0, 0, 1, 1], [1, 0, 1, 2]]
    assert counts.index.tolist() == ["male", "female", "all"]
    assert counts.columns.tolist() == ["<30", "30-59", "60+", "all"]


def test_people_by_age_has_every_year_and_its_figure_both_borders():
    ages = facts.groups_by_number(FACE_MASK, small_table(), "age_band")
    assert ages.index.tolist() == list(range(29, 61))
    assert ages.loc[29].tolist() == [1, 0]
    assert ages.loc[60].tolist() == [0, 1]
    assert ages.columns.tolist() == ["male", "female"]
    figure = plots.numbers(ages, FACE_MASK.bands["age_band"], "people")
    assert [shape.x0 for shape in figure.layout.shapes] == [29.5, 59.5]


def test_samples_are_seeded_and_of_different_people(drawn):
    _, table, _ = scan_train(drawn)
    chosen = facts.samples(FACE_MASK, table, 2, seed=0)
    assert list(chosen) == list(range(18))
    for label, photos in chosen.items():
        assert set(photos["label"]) == {label}
        assert photos["group"].is_unique
    again = facts.samples(FACE_MASK, table, 2, seed=0)
    assert all(chosen[label].equals(again[label]) for label in chosen)
    # Three people of a group and three kinds of photos, one each: nobody needs to be shown twice.
    once = pd.concat(facts.samples(FACE_MASK, table, 1, seed=1).values())
    assert once["group"].is_unique


def test_headers_tell_size_and_kind(drawn):
    _, table, _ = scan_train(drawn)
    headers, errors = facts.read_headers(table)
    assert not errors
    sizes, left_off = facts.kinds(headers.assign(half="train"), ["width", "height"])
    assert sizes.to_dict("records") == [{"width": 36, "height": 48, "train": len(table), "eval": 0}]
    assert left_off == 0


def test_sizes_are_those_of_photos_that_are_turned(tmp_path):
    """Phones write all photos in one way, and say in EXIF how they were held."""
    paths = []
    for orientation in (1, 3, 6, 8):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for ending in ("jpg", "png"):
            Image.new("RGB", (40, 30)).save(path := tmp_path / f"{orientation}.{ending}", exif=exif)
            paths.append(str(path))
    headers, _ = facts.read_headers(pd.DataFrame({"path": paths}))
    shapes = [read_photo(path).shape[:2] for path in paths]
    assert headers[["height", "width"]].to_records(index=False).tolist() == shapes


def test_kinds_says_what_it_leaves_off():
    headers = pd.DataFrame({"width": range(30), "half": ["train", "eval"] * 15})
    rows, left_off = facts.kinds(headers, ["width"], limit=12)
    assert (len(rows), left_off) == (12, 18)


def test_page_of_a_sound_set(drawn, tmp_path):
    text = text_of(drawn, tmp_path / "out")
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", text)
    assert text.count("data:image/jpeg;base64,") == 18 * 3
    assert all(name.replace("<", "&lt;") in text for name in FACE_MASK.classes)
    assert "none found" in text


def test_page_of_a_faulty_set_names_the_faults_and_shows_the_rest(broken, tmp_path):
    csv = broken / "train" / "train.csv"
    lines = csv.read_text().splitlines()
    lines[1] = lines[1].replace("female", "femal").replace(",male", ",mal")
    csv.write_text("\n".join(lines) + "\n")
    _, table, _ = scan_train(broken)
    Path(table["path"][0]).unlink()
    Path(table["path"][1]).write_text("no photo")
    shutil.rmtree(broken / "eval" / "images")
    text = text_of(broken, tmp_path / "out")
    for words in ("unknown gender", "missing photo", "not an image that can be read", "no folder"):
        assert words in text
    assert "17 people" in text


def test_page_of_a_set_with_only_eval_photos(broken, tmp_path):
    (broken / "train" / "train.csv").unlink()
    text = text_of(broken, tmp_path / "out")
    assert "no file" in text
    assert "0 people" in text


def test_a_wrong_path_is_the_callers_mistake(tmp_path):
    with pytest.raises(UsageError, match="no folder"):
        write_eda(tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()
