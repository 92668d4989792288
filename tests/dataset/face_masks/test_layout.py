import shutil

import pandas as pd
import pytest

from common.errors import UsageError
from dataset.face_masks.labels import encode
from dataset.read import read_eval, read_train


def errors_of(read, data) -> str:
    with pytest.raises(UsageError) as caught:
        read(data)
    return str(caught.value)


def test_table_has_one_row_a_photo_sorted(data):
    table = read_train(data).table
    assert list(table.columns) == ["photo", "path", "group", "mask", "gender", "age", "age_band", "label"]
    assert len(table) == 14 * 7
    assert list(table["photo"]) == sorted(table["photo"])
    assert (table["label"] == encode(table["mask"], table["gender"], table["age_band"])).all()
    assert all(sorted(masks) == [0, 0, 0, 0, 0, 1, 2] for _, masks in table.groupby("group")["mask"])
    row = table[table["photo"].str.startswith("000006_male_Asian_60/incorrect")].iloc[0]
    assert (row["mask"], row["gender"], row["age"], row["age_band"], row["label"]) == (1, 0, 60, 2, 8)
    assert table["path"].map(lambda path: path.startswith(str(data))).all()


def test_order_of_the_csv_changes_nothing(data):
    before = read_train(data).table
    csv = data / "train" / "train.csv"
    pd.read_csv(csv, dtype=str).iloc[::-1].to_csv(csv, index=False)
    pd.testing.assert_frame_equal(before, read_train(data).table)


def test_eval_keeps_the_order_of_info_csv(data):
    assert [name[0] for name in read_eval(data)["photo"]] == ["d", "b", "c", "a"]


def test_every_error_is_named_at_once(data, rewrite, write_photo):
    images = data / "train" / "images"
    rewrite("train/train.csv", "000002,male,Asian,29", "000002,mann,Asian,29")
    rewrite("train/train.csv", "000003,male,Asian,30", "000003,male,Asian,thirty")
    rewrite("train/train.csv", "000005,male", "000004,male")
    shutil.rmtree(images / "000001_male_Asian_18")
    next((images / "000004_male_Asian_45").glob("mask3.*")).unlink()
    write_photo(images / "000004_male_Asian_45" / "mask6.jpg")
    write_photo(images / "000006_male_Asian_60" / "notes.txt.png")
    write_photo(images / "000099_female_Asian_20" / "normal.jpg")
    write_photo(images / "000007_male_Asian_60" / "normal.bmp")
    errors = errors_of(read_train, data)
    for piece in (
        "unknown gender 'mann'",
        "age 'thirty' is not",
        "duplicate id '000004'",
        "missing folder",
        "000001_male_Asian_18",
        "missing photo",
        "000004_male_Asian_45/mask3",
        "unknown mask name 'mask6'",
        "unknown mask name 'notes.txt'",
        "000099_female_Asian_20",
        "normal.bmp",
    ):
        assert piece in errors
    assert len(errors.splitlines()) == 9


def test_two_photos_of_one_name_are_an_error(data, write_photo):
    folder = data / "train" / "images" / "000001_male_Asian_18"
    for extension in (".jpg", ".jpeg", ".png"):
        write_photo(folder / f"normal{extension}")
    assert errors_of(read_train, data).count("extra photo") == 2


def test_wrong_column_is_named_with_the_nearest(data, rewrite):
    rewrite("train/train.csv", "id,gender", "id,Gender")
    assert "no column 'gender'" in (errors := errors_of(read_train, data))
    assert "should 'Gender' be 'gender'?" in errors
    rewrite("eval/info.csv", "ImageID", "imageid")
    assert "no column 'ImageID'" in errors_of(read_eval, data)


def test_eval_errors_are_named_at_once(data, rewrite, write_photo):
    (data / "eval" / "images" / "dddddddd.jpg").unlink()
    write_photo(data / "eval" / "images" / "eeeeeeee.jpg")
    rewrite("eval/info.csv", "bbbbbbbb.jpg,0\n", "bbbbbbbb.jpg,0\nbbbbbbbb.jpg,0\n")
    errors = errors_of(read_eval, data)
    assert "missing photo" in errors and "extra" in errors and "twice" in errors


@pytest.mark.parametrize("read", [read_train, read_eval])
def test_empty_missing_and_foreign_sets(data, tmp_path, read):
    assert f"no folder {tmp_path / 'nowhere'}" in errors_of(read, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "fits no format of data sets" in errors_of(read, tmp_path / "empty")
    csv, header = (
        (data / "train" / "train.csv", "id,gender,race,age,path\n")
        if read is read_train
        else (data / "eval" / "info.csv", "ImageID,ans\n")
    )
    csv.write_text(header)
    assert "lists no" in errors_of(read, data)
    csv.write_text("")
    assert "not a CSV" in errors_of(read, data)
    csv.write_bytes(b"\xff\xfe\x00\x01" * 9)
    assert str(csv) in errors_of(read, data)


def test_hidden_files_do_not_count(data):
    for name in (".DS_Store", "._000001_male_Asian_18", "000001_male_Asian_18/._mask1.jpg"):
        (data / "train" / "images" / name).write_bytes(b"x")
    (data / "eval" / "images" / "._x.jpg").write_bytes(b"x")
    assert (len(read_train(data).table), len(read_eval(data))) == (98, 4)


def test_a_path_out_of_the_folder_is_refused(data, rewrite):
    rewrite("train/train.csv", ",000001_male_Asian_18", ",../../000001_male_Asian_18")
    assert "is not the name of a folder" in errors_of(read_train, data)


def test_the_id_that_two_people_share_in_the_competition_is_renamed(data, rewrite):
    rewrite("train/train.csv", "000001,male", "003397,male")
    rewrite("train/train.csv", "000009,female", "003397,female")
    people = set(read_train(data).table["group"])
    assert len(people) == 14 and {"003397", "003397-1"} <= people


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("000001,male,Asian,18,", "000001,male,Asian,121,", "line 2 (id 000001): age '121' is not an integer from 1 to 120"),
        ("000001,male,Asian,18,", "000001,male,Asian,0,", "line 2 (id 000001): age '0' is not an integer from 1 to 120"),
        ("000001,male,Asian,18,", "000001,male,Asian,-18,", "line 2 (id 000001): age '-18' is not an integer from 1 to 120"),
        ("000001,male,Asian,18,", "000001,male,Asian,18.0,", "line 2 (id 000001): age '18.0' is not an integer from 1 to 120"),
        ("000001,male,Asian,18,", "000001,Male,Asian,18,", "line 2 (id 000001): unknown gender 'Male'; use male or female"),
        ("000001,male,Asian,18,", "000001 ,male,Asian,18,", "line 2: spaces around id; remove them"),
        ("000001,male,Asian,18,", "000001, male,Asian,18,", "line 2: spaces around gender; remove them"),
        ("_Asian_18\n", "_Asian_18/\n", "line 2 (id 000001): path '000001_male_Asian_18/' is not the name of a folder in images/"),
        ("_Asian_18\n", "_Asian_18\\\n", "line 2 (id 000001): path '000001_male_Asian_18\\\\' is not the name of a folder in images/"),
        ("000001_male_Asian_18\n", "..\n", "line 2 (id 000001): path '..' is not the name of a folder in images/"),
        ("000001_male_Asian_18\n", "000001_male_asian_18\n", "missing folder"),
        ("_Asian_18\n", "_Asian_18,\n", "line 2: 6 fields, but the header names 5; remove the commas at the end"),
        ("_Asian_18\n", "_Asian_18,more\n", "line 2: 6 fields, but the header names 5"),
        ("id,gender,race,age,path\n", "id,gender,race,age,path,age\n", "column 'age' appears 2 times; keep one"),
        ("000001,", "\n\n,", "line 4: no id"),
    ],
)  # fmt: skip
def test_a_line_that_can_not_be_right_is_named(data, rewrite, old, new, message):
    rewrite("train/train.csv", old, new)
    assert message in errors_of(read_train, data)


def test_line_ends_empty_lines_and_upper_case_extensions_are_taken(data, capsys):
    before = read_train(data).table
    csv = data / "train" / "train.csv"
    csv.write_bytes(b"\xef\xbb\xbf" + csv.read_bytes().replace(b"\n", b"\r\n\r\n") + b",,,,\r\n")
    photo = next(data.glob("train/images/*/normal.jpg"))
    photo.rename(photo.with_name("normal.JPG"))
    assert (read_train(data).table["label"] == before["label"]).all()
    assert capsys.readouterr().err == f"{csv} line 31: only commas, skipped\n"


def test_a_photo_in_the_wrong_case_is_named(data):
    photo = next(data.glob("train/images/*/normal.jpg"))
    photo.rename(photo.with_name("Normal.jpg"))
    errors = errors_of(read_train, data)
    assert (
        "unknown mask name 'Normal'; known: mask1, " in errors
        and f"missing photo {photo.parent}/normal" in errors
    )


def test_spaces_and_commas_too_many_hide_no_other_error(data, rewrite, write_photo):
    rewrite("train/train.csv", "000001,male,Asian,18,", "000001, male,Asian,18,")
    rewrite("train/train.csv", "000002,male,Asian,29,", "000002,male,Asian,290,")
    rewrite("eval/info.csv", "bbbbbbbb.jpg,0", "bbbbbbbb.jpg,0,")
    write_photo(data / "eval" / "images" / "eeeeeeee.jpg")
    assert len(errors_of(read_train, data).splitlines()) == 2
    assert len(errors_of(read_eval, data).splitlines()) == 2
