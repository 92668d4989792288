"""Which format a folder is read in, and what is said if none fits."""

import io
import shutil
from collections import Counter

import cv2
import numpy as np
import pytest

from common.errors import errors_of
from dataset.check import check, summary
from dataset.face_masks.labels import FACE_MASK
from dataset.read import CLASS_FOLDERS, COMPETITION, FORMATS, PHOTOS_CSV, format_of, read_eval, read_train
from tests.dataset.refusals import refused


def put(folder, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["photos.csv", "train/train.csv"], PHOTOS_CSV), (["photos.csv", "train/cat/a.jpg"], PHOTOS_CSV),
        (["train/train.csv"], COMPETITION), (["train/images/x/a.jpg"], COMPETITION), (["eval/info.csv"], COMPETITION),
        (["eval/images/a.jpg"], COMPETITION), (["train/cat/a.jpg"], CLASS_FOLDERS), (["eval/a.jpg"], CLASS_FOLDERS),
        (["train/cat/a.jpg", "eval/info.csv"], CLASS_FOLDERS), (["test/a.jpg"], CLASS_FOLDERS),
        (["train/images/a.jpg", "train/cat/a.jpg"], CLASS_FOLDERS), (["train/images/x/a.jpg", "train/.cache/a"], COMPETITION),
        (["train/images/x/a.jpg", "train/notes/a", "train/train.csv"], COMPETITION),
        ([], None), (["a.jpg"], None), (["cat/a.jpg"], None), (["labels.csv"], None), (["train/a.jpg"], None),
    ],
)  # fmt: skip
def test_the_format_is_found_by_looking_at_the_folder(tmp_path, names, expected):
    put(tmp_path, *names)
    assert format_of(tmp_path) == expected


@pytest.mark.parametrize("read", [read_train, read_eval, check])
@pytest.mark.parametrize(
    ("names", "nearest"),
    [
        ([], ""), (["readme.txt"], ""),
        (["labels.csv", "a.jpg"], "; nearest is (1): is labels.csv meant as photos.csv?"),
        (["cat/a.jpg", "dog/b.jpg"], "; nearest is (3): are cat, dog the folders of the classes? move them into {}/train"),
        (["a.jpg", "b.jpg"], "; nearest is (3): move each photo into {}/train/CLASS, a folder for each class"),
        (["cats/a.jpg"], "; nearest is (3): is cats the folder of a class? move it into {}/train"),
        (["train/a.jpg"], "; nearest is (3): move each photo in {}/train into a folder with the name of its class"),
        (["val/cat/a.jpg"], "; nearest is (3): should the folder val be train?"),
        (["Train/cat/a.jpg"], "; nearest is (3): should the folder Train be train?"),
    ],
)  # fmt: skip
def test_a_folder_that_fits_no_format_is_told_what_each_wants_and_the_nearest(tmp_path, names, nearest, read):
    put(tmp_path, *names)
    message = refused(read, tmp_path)
    assert message.startswith(
        f"{tmp_path}: fits no format of data sets{nearest.format(tmp_path)}{'' if nearest.endswith('?') else '.'} "
        "The formats: "
    )
    assert all(form.wants in message for form in FORMATS.values())


@pytest.mark.parametrize("read", [read_train, check])
def test_folders_of_classes_in_train_images_are_told_all_formats(tmp_path, read):
    """They may be a set of the competition without its train.csv, too."""
    put(tmp_path, "train/images/cat/a.jpg", "train/images/dog/b.jpg")
    errors = errors_of(read, tmp_path)
    assert errors[0].startswith(f"no file {tmp_path / 'train' / 'train.csv'}; the competition's layout is")
    images = tmp_path / "train" / "images"
    (formats,) = (error for error in errors if "fits no format" in error)
    assert (
        f"are the folders in {images} those of the classes? move them into {tmp_path / 'train'}. " in formats
    )
    assert all(form.wants in formats for form in FORMATS.values())


def test_a_train_csv_of_another_set_is_told_all_formats_and_folders_of_classes_win(tmp_path):
    put(tmp_path, "train/images/a.jpg")
    (csv := tmp_path / "train" / "train.csv").write_text("image,label\na.jpg,cat\n")
    for read in (read_train, read_eval, check):
        meant = f"nearest is (1): is {csv} meant as {tmp_path / 'photos.csv'}? The formats: "
        assert meant in refused(read, tmp_path)
    put(tmp_path, "train/cat/a.jpg")
    assert format_of(tmp_path) == CLASS_FOLDERS
    people = (
        "id;gender;race;age;path",
        "\ufeffid,Gender,Age,path",
        "000001,male,Asian,18,000001_male_Asian_18",
    )
    for line, encoding in [
        *((one, "utf-8") for one in people),
        (people[0], "utf-16"),
    ]:  # meant, with a mistake
        csv.write_text(f"{line}\n", encoding)
        assert format_of(tmp_path) == COMPETITION
        assert not any("fits no format" in error for error in errors_of(read_train, tmp_path))


def test_a_table_of_people_under_another_name_is_nearest_to_the_competitions_layout(tmp_path):
    (tmp_path / "people.csv").write_text("id,gender,race,age,path\n1,male,Asian,20,x\n")
    assert "nearest is (2): people.csv has the columns of its train/train.csv" in refused(
        read_train, tmp_path
    )


@pytest.mark.parametrize("read", [read_train, read_eval, check])
def test_no_folder_or_a_file(tmp_path, read):
    assert refused(read, tmp_path / "nowhere").startswith(f"no folder {tmp_path / 'nowhere'}; ")
    put(tmp_path, "photos.csv")
    assert (
        refused(read, tmp_path / "photos.csv")
        == f"{tmp_path / 'photos.csv'} is a file; give the folder that it is in"
    )


def test_what_only_the_home_task_has_is_refused_for_others(folders, data):
    assert refused(read_train, folders, corrections="competition") == (
        "corrections=competition: only the face-mask task has them; correct the labels of this set in its own files"
    )
    checked = errors_of(check, folders, "competition", with_eval=False)
    assert checked[0].startswith("corrections=competition: only the face-mask task")
    assert refused(read_train, data, group="id").startswith("group=id: the groups of")
    assert read_train(data).task == FACE_MASK


def test_a_set_without_photos_to_predict_is_told_where_its_format_wants_them(folders, tmp_path):
    shutil.rmtree(folders / "eval")
    assert refused(read_eval, folders).endswith(f"; put them into {folders / 'eval'}")
    listed = tmp_path / "listed"
    put(listed, "a.jpg", "b.jpg")
    (listed / "photos.csv").write_text("path,label\na.jpg,cat\nb.jpg,dog\n")
    assert refused(read_eval, listed).endswith(
        f"; list them in {listed / 'photos.csv'} with eval in a column split"
    )


def test_a_check_opens_each_photo_once(people, monkeypatch):
    """On a disk of the network each costs time."""
    opened, opens = Counter(), io.open

    def counted(path, *given, **named):
        opened[str(path)] += 1
        return opens(path, *given, **named)

    monkeypatch.setattr(io, "open", counted)  # as pathlib calls it
    train = check(people).train
    assert {opened[path] for path in train["path"]} == {1}


def test_photos_of_16_bits_that_hold_12_are_noted(tmp_path):
    """Their upper bytes are read, which are nearly black."""
    pixels = np.random.default_rng(0).integers(0, 2**12, (12, 8), dtype=np.uint16)
    for number in range(10):
        path = tmp_path / "train" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), pixels)
    (note,) = (line for line in summary(tmp_path, check(tmp_path), 5, 0) if "16 bits" in line)
    assert note.startswith(
        "10 photos are PNGs of 16 bits, whose upper bytes are read: the largest is 15 of 255"
    )
    assert note.endswith("if they hold 12 bits, multiply their values by 16")
    cv2.imwrite(str(path), pixels * 16)
    assert not any("16 bits" in line for line in summary(tmp_path, check(tmp_path), 5, 0))


def test_the_summary_counts_photos_once_and_keeps_long_names_short(tmp_path, write_photo):
    for name in ("a" * 120, "b"):
        for number in range(5):
            write_photo(tmp_path / "train" / name / f"{number}.jpg")
    lines = summary(tmp_path, check(tmp_path), 5, 0)
    assert lines[1] == "train: 10 photos; eval: 0 photos"
    assert lines[3] == f"  {'b':40}       5 photos"
