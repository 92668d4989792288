"""The page and its facts of tasks other than the home task: no factors, several, many classes, no groups."""

import csv
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import app
from analysis.eda import facts, pictures, plots, suspects
from analysis.eda.page import MAX_SAMPLED, write_eda
from analysis.report.pictures import at_size
from dataset import factors
from dataset.face_masks.labels import FACE_MASK
from dataset.task import Bands, Task
from tests.conftest import call

HOME_WORDS = re.compile(r"\b(mask|gender|age|people|person|60\+|train\.csv|corrections)\b", re.IGNORECASE)


def page_of(data: Path, out: Path, **options) -> str:
    page = write_eda(data, out, **options).read_text()
    return re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)


def section(text: str, name: str) -> str:
    return re.search(rf'<section id="{name}">.*?</section>', text, flags=re.DOTALL).group()


def write_photo(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).random((6, 5, 3), np.float32)
    photo = cv2.resize(noise, (40, 48), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(path), (photo.clip(0, 1) * 255).astype(np.uint8))


def write_csv(data: Path, header: str, rows: list[tuple]) -> Path:
    for number, row in enumerate(rows):
        write_photo(data / row[0], number)
    with (data / "photos.csv").open("w") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return data


def folders(data: Path, classes: int, photos: int = 2) -> Path:
    for number in range(classes):
        for photo in range(photos):
            write_photo(data / "train" / f"class {number}" / f"{photo}.jpg", number * photos + photo)
    return data


@pytest.fixture
def lesions(tmp_path) -> Path:
    """Two classes of patients, some with photos of both."""
    rows = [
        (
            f"photos/{n}.jpg",
            "malignant" if n % 5 == 0 else "benign",
            f"patient {n // 3}",
            "eval" if n > 26 else "train",
        )
        for n in range(32)
    ]
    return write_csv(tmp_path / "lesions", "path,label,patient,split", rows)


def test_two_classes_of_patients(lesions, tmp_path):
    text = page_of(lesions, tmp_path / "out", group="patient", augment=["light"])
    assert "9 patients with 27 labelled photos of 2 classes; 5 photos to predict." in text
    assert "3.0 per patient" in text
    assert 'id="factors"' not in text
    assert "Co-occurrence" not in text
    assert "each shows another patient" in text
    assert "no two patients have the same photos" in text
    assert section(text, "augmentation").count('class="augmented"') == 2
    assert not HOME_WORDS.findall(text)


def test_the_command_takes_the_group(lesions, tmp_path):
    result = call(app, "eda", lesions, "--group", "patient", "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "9 patients" in (tmp_path / "out" / "eda.html").read_text()
    by_path = call(app, "eda", lesions, "--group", r"(\d)\.jpg", "--out", tmp_path / "by path")
    assert by_path.exit_code == 0
    assert "10 groups" in (tmp_path / "by path" / "eda.html").read_text()


def test_photos_without_groups_are_counted_as_photos(tmp_path):
    text = page_of(folders(tmp_path / "set", 3), tmp_path / "out")
    assert "6 labelled photos of 3 classes; 0 photos to predict." in text
    assert "groups</" not in text
    assert "per photo" not in text
    assert not HOME_WORDS.findall(
        section(text, "overview") + section(text, "classes") + section(text, "samples")
    )


@pytest.fixture
def plants(tmp_path) -> Path:
    """Four factors, two of them the same for all photos of a plant; two with the same values."""
    rows = [
        (f"{n}.png", ("ash", "oak", "beech")[n // 4 % 3], ("oval", "lobed")[n // 12 % 2], ("yes", "no")[n % 2],
         ("yes", "no")[n // 2 % 2], f"plant {n // 4}")
        for n in range(48)
    ]  # fmt: skip
    return write_csv(tmp_path / "plants", "path,species,leaf_shape,healthy,ripe,group", rows)


def test_any_factors_each_have_a_table_and_pairs_of_groups_factors_too(plants, tmp_path):
    text = page_of(plants, tmp_path / "out")
    headings = re.findall("<h3>(.*?)</h3>", section(text, "factors"))
    assert headings == [
        "Species", "Leaf shape", "Healthy", "Ripe", "Groups by species and leaf shape", "Co-occurrence",
    ]  # fmt: skip
    assert not HOME_WORDS.findall(text)


def test_the_same_value_of_two_factors_is_drawn_twice():
    task = Task("photos", ("a", "b", "c", "d"), {"healthy": ("no", "yes"), "ripe": ("no", "yes")})
    table = pd.DataFrame({"healthy": [0, 0, 1], "ripe": [0, 1, 1]})
    counts = facts.co_occurrence(task, table)
    assert counts.to_numpy().tolist() == [[2, 0, 1, 1], [0, 1, 0, 1], [1, 0, 1, 0], [1, 1, 0, 2]]
    (heat,) = plots.co_occurrence(counts).data
    assert list(heat.x) == ["healthy: no", "healthy: yes", "ripe: no", "ripe: yes"]
    assert np.asarray(heat.z)[0, 2:].tolist() == [0.5, 0.5]
    assert np.isnan(np.asarray(heat.z)[0, :2]).all()


def test_a_factor_that_differs_within_a_group_is_not_the_groups():
    task = Task("photos", ("a",), {"one": ("x", "y"), "two": ("x", "y")})
    table = pd.DataFrame({"group": ["a", "a", "b"], "one": [0, 0, 1], "two": [0, 1, 1]})
    assert factors.of_groups(task, table) == ("one",)
    assert factors.of_groups(task, table.head(0)) == ()


def test_tables_of_two_factors_are_never_wide():
    factors = {"many": tuple(map(str, range(30))), "few": ("x", "y"), "more": tuple(map(str, range(40)))}
    task = Task("photos", ("a",), factors)
    assert facts.pairs_of_factors(task, list(factors)) == [("many", "few"), ("more", "few")]


@pytest.mark.parametrize("numbers", [[3, 9, 9, 4], [0, 5000, 7, 4999]])
def test_a_histogram_of_any_number_has_every_group_and_not_too_many_bars(numbers):
    task = Task(
        "photos", ("low", "high"), {"size": ("low", "high")}, bands={"size": Bands("width", (5,), "cm")}
    )
    table = pd.DataFrame({"group": list("abcd"), "size": [0, 1, 1, 0], "width": numbers})
    counts = facts.groups_by_number(task, table, "size")
    assert counts.columns.tolist() == ["groups"]
    assert counts["groups"].sum() == 4
    assert len(counts) <= facts.MAX_BARS
    figure = plots.numbers(counts, task.bands["size"], "groups")
    assert figure.layout.xaxis.title.text == "width in cm"
    assert [shape.x0 for shape in figure.layout.shapes] == [4.5]


def test_a_histogram_of_numbers_that_are_no_integers_is_of_ranges():
    task = Task("photos", ("low", "high"), {"size": ("low", "high")}, bands={"size": Bands("width", (0.25,))})
    table = pd.DataFrame({"group": list("abcd"), "size": [0, 1, 1, 1], "width": [0.1, 0.25, 0.3, 0.9]})
    counts = facts.groups_by_number(task, table, "size")
    assert (len(counts), counts["groups"].sum()) == (facts.BINS, 4)
    figure = plots.numbers(counts, task.bands["size"], "groups")
    assert [shape.x0 for shape in figure.layout.shapes] == [0.25], "between bars"
    assert figure.layout.xaxis.title.text == "width"


def by_class(classes: int) -> pd.DataFrame:
    photos = np.arange(classes) * 7 % 11
    names = [f"class {n}" for n in range(classes)]
    return pd.DataFrame({"name": names, "groups": 1, "photos": photos, "fraction": photos / photos.sum()})


@pytest.mark.parametrize(("classes", "height"), [(2, 164), (18, 500), (40, 1028), (60, 1508)])
def test_the_figure_of_classes_is_as_high_as_they_need(classes, height):
    figure = plots.classes(by_class(classes), rare=[1], groups="groups")
    assert figure.layout.height == height
    (bars,) = figure.data
    assert len(bars.y) == classes
    assert bars.marker.color[1] == plots.LIGHT["rare"] != bars.marker.color[0]


def test_hundreds_of_classes_are_sorted_bars_that_say_their_names():
    figure = plots.classes(by_class(300), rare=[11, 22], groups="photos")
    assert figure.layout.height < 400
    (bars,) = figure.data
    assert list(bars.y) == sorted(bars.y, reverse=True)
    assert sorted(bars.hovertext) == sorted(f"class {n}" for n in range(300))
    purple = [
        name
        for name, color in zip(bars.hovertext, bars.marker.color, strict=True)
        if color == plots.LIGHT["rare"]
    ]
    assert set(purple) == {"class 11", "class 22"}


def test_long_names_are_cut_unless_they_would_be_the_same():
    assert plots._short(["a" * 50, "b"]) == ["a" * 39 + "…", "b"]
    assert plots._short(["a" * 50 + "1", "a" * 50 + "2"]) == ["a" * 50 + "1", "a" * 50 + "2"]


def test_the_classes_with_the_most_and_the_fewest_photos_are_shown():
    assert facts.most_and_fewest([5, 9, 1, 7, 3], 3) == [1, 2, 4]
    assert facts.most_and_fewest([5, 9, 1], 3) == [0, 1, 2]


def test_a_page_of_hundreds_of_classes_shows_some_and_says_which(tmp_path):
    page = write_eda(folders(tmp_path / "set", 120), tmp_path / "out")
    text = page.read_text()
    assert section(text, "samples").count("<h4>") == MAX_SAMPLED
    assert "Of 120 classes, the 20 with the most photos and the 20 with the fewest are shown." in text
    assert "class 119</td>" in text  # in the table
    assert page.stat().st_size < 6_500_000  # 4.8 MB of them are plotly.js


def test_a_faulty_set_of_folders_gets_its_page(tmp_path):
    data = folders(tmp_path / "set", 4)
    (data / "train" / "class 0" / "0.jpg").write_text("no photo")
    (data / "train" / "class 1" / "0.jpg").unlink()
    text = page_of(data, tmp_path / "out")
    errors = section(text, "errors")
    assert "not an image that can be read" in errors
    assert "class &#39;class 1&#39; has one photo only" in errors
    assert "7 labelled photos of 4 classes" in text


def test_near_duplicates_are_shown_with_their_classes(tmp_path):
    data = folders(tmp_path / "set", 3)
    shutil.copy(data / "train" / "class 0" / "0.jpg", data / "train" / "class 2" / "copy.jpg")
    found = section(page_of(data, tmp_path / "out"), "suspects")
    assert "Nearly the same photo twice" in found
    assert "train/class 0/0.jpg, train/class 2/copy.jpg" in found
    assert "labelled class 0 and class 2" in found
    assert found.count("<img") == 2


def test_near_duplicates_of_two_groups_are_shown(lesions, tmp_path):
    shutil.copy(lesions / "photos" / "0.jpg", lesions / "photos" / "26.jpg")
    found = section(page_of(lesions, tmp_path / "out", group="patient"), "suspects")
    assert "Nearly the same photo in two patients" in found
    assert (
        "patient 0, patient 8" in found and "a photo of each correlates by 1.000 (0.jpg and 26.jpg)" in found
    )
    assert "labelled benign, malignant and benign, malignant" in found


def test_only_the_home_tasks_sets_have_its_suspects(people):
    assert set(suspects.OF_TASKS) == {FACE_MASK.name}


def test_sizes_that_vary_much_are_not_all_unusual():
    rng = np.random.default_rng(0)
    many = pd.DataFrame({"width": rng.integers(300, 900, 200), "height": rng.integers(300, 900, 200)})
    strip = pd.DataFrame({"width": [4000], "height": [100]})
    headers = pd.concat([many, strip], ignore_index=True)
    headers = headers.assign(photo=headers.index.astype(str), path="")
    assert [suspect.where for suspect in suspects.outliers(headers)] == ["200"]


def test_samples_fit_beside_each_other_and_tiny_ones_are_enlarged():
    assert pictures.row_width(pd.DataFrame({"width": [192], "height": [256]})) == 340
    assert pictures.row_width(pd.DataFrame({"width": [32], "height": [32]})) > 4 * 106
    assert at_size(np.zeros((8, 8, 3), np.uint8)).shape == (160, 160, 3)
    assert at_size(np.zeros((100, 4000, 3), np.uint8)).shape == (8, 320, 3)


def test_titles_of_samples_have_the_numbers_of_bands_only(tmp_path):
    write_photo(tmp_path / "a.jpg", 0)
    photos = pd.DataFrame({"photo": ["a.jpg"], "path": [str(tmp_path / "a.jpg")], "age": [33]})
    (home,) = pictures._pictures(FACE_MASK, photos)
    assert home["title"] == "a.jpg, 33 years"
    (other,) = pictures._pictures(Task("photos", ("a", "b")), photos)
    assert other["title"] == "a.jpg"


def test_what_is_said_of_groups_of_different_sizes():
    task = Task("photos", ("a", "b"), group="patient", groups="patients")
    table = pd.DataFrame({"group": ["x", "y", "y", "z", "z", "z"], "label": [0, 0, 1, 1, 1, 1]})
    said = facts.group_sizes(task, table)
    assert (
        said
        == "Each patient has 1 to 3 photos, the median 2; 1 of 3 patients have photos of several classes."
    )
    assert facts.group_sizes(task, table.drop_duplicates("group")) == ""
