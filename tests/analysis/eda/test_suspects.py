import shutil
from pathlib import Path

import cv2
import pandas as pd
import pytest

from analysis.eda import suspects
from analysis.eda.facts import read_headers
from analysis.eda.page import write_eda
from dataset.face_masks import suspects as face_masks
from dataset.face_masks.corrections import read_corrections
from dataset.face_masks.drawing.synthetic import draw
from dataset.read import scan_train


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    return draw(tmp_path_factory.mktemp("drawn") / "set", people=18, folds=3, height=64, width=48)


@pytest.fixture
def changed(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "set"))


def found_in(data: Path) -> dict:
    task, table, errors = scan_train(data)
    assert not errors
    found = suspects.suspects(task, table, read_headers(table)[0])
    assert not found.limit
    return found.kinds


def test_nothing_is_suspicious_in_a_sound_set(drawn):
    assert found_in(drawn) == {}


def test_the_same_photos_under_another_id_are_found_in_another_size_and_brightness(changed):
    _, table, _ = scan_train(changed)
    original = table[table["group"] == table["group"].iloc[0]]
    folder = changed / "train" / "images" / "999999_male_Asian_33"
    folder.mkdir()
    for row in original.itertuples():
        photo = cv2.convertScaleAbs(cv2.imread(row.path), alpha=1.1, beta=10)
        name = f"{Path(row.photo).stem}.jpg"
        cv2.imwrite(str(folder / name), cv2.resize(photo, (56, 76)), [cv2.IMWRITE_JPEG_QUALITY, 70])
    with (changed / "train" / "train.csv").open("a") as csv:
        csv.write(f"999999,male,Asian,33,{folder.name}\n")
    found = found_in(changed)
    assert list(found) == ["The same photos under two ids"]
    (pair,) = found["The same photos under two ids"]
    assert pair.where == f"{original['group'].iloc[0]}, 999999"
    assert "male, 33 years" in pair.why
    assert [Path(path).stem for path in pair.paths] == ["normal", "normal"]


def test_a_folder_that_tells_another_age_than_its_line_is_found(changed):
    csv = changed / "train" / "train.csv"
    lines = csv.read_text().splitlines()
    person, gender, race, _, folder = lines[1].split(",")
    lines[1] = ",".join([person, gender, race, "44", folder])
    csv.write_text("\n".join(lines) + "\n")
    found = found_in(changed)
    assert list(found) == ["Folder and train.csv disagree"]
    (suspect,) = found["Folder and train.csv disagree"]
    assert suspect.where == person
    assert suspect.why == f"folder {folder}; train.csv: {gender}, 44 years"


def test_one_number_of_two_people_is_found_where_they_differ():
    people = pd.DataFrame(
        {"group": ["1", "1-1", "2", "2-1", "12"], "gender": [0, 1, 0, 0, 1], "age": [20, 20, 30, 30, 20]}
    )
    (suspect,) = face_masks.shared_numbers(people)
    assert suspect.where == "1, 1-1"
    assert suspect.why == "1 male, 20 years; 1-1 female, 20 years"


def test_a_photo_of_unusual_size_or_shape_is_found(changed):
    _, table, _ = scan_train(changed)
    wide, small = Path(table["path"][3]), Path(table["path"][9])
    cv2.imwrite(str(wide), cv2.imread(str(wide))[:40])
    cv2.imwrite(str(small), cv2.resize(cv2.imread(str(small)), (18, 24)))
    found = found_in(changed)["Unusual size"]
    assert {suspect.where for suspect in found} == {table["photo"][3], table["photo"][9]}
    assert found[0].why.startswith("40 high, 48 wide; the median is 64 high, 48 wide")


def competition(**recorded: str) -> pd.DataFrame:
    """A set of the people in the shipped list, three photos each, their genders as the list says."""
    entries = read_corrections("competition")
    genders = dict(zip(entries["id"], entries["recorded"], strict=True)) | recorded
    masks = {"mask1": 0, "incorrect_mask": 1, "normal": 2}
    rows = [
        {
            "group": person, "gender": int(gender == "female"), "age": 59 if person == "004348" else 40,
            "mask": mask, "photo": f"{person}/{stem}.jpg", "path": stem,
        }
        for person, gender in genders.items() for stem, mask in masks.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_known_errors_are_told_of_the_competitions_set_alone():
    found = face_masks.known_errors(competition())
    assert len(found) == 22
    assert ("001009", "30-59, is 29") in {(one.where, one.why) for one in found}
    assert ("000020", "normal, is incorrect_mask") in {(one.where, one.why) for one in found}
    assert ("001720", "female, is male") in {(one.where, one.why) for one in found}
    mended = face_masks.known_errors(competition(**{"001720": "male"}))
    assert {one.where for one in found} - {one.where for one in mended} == {"001720"}
    few = competition()
    assert face_masks.known_errors(few[few["group"].isin(["000020", "001720"])]) == []


def test_the_page_shows_what_is_suspicious(changed, tmp_path):
    _, table, _ = scan_train(changed)
    path = Path(table["path"][3])
    cv2.imwrite(str(path), cv2.imread(str(path))[:40])
    page = write_eda(changed, tmp_path / "out").read_text()
    assert "Unusual size" in page
    assert "40 high, 48 wide" in page
