"""What is refused in a photos.csv, each mistake with its lines."""

import pytest

from common.errors import UsageError, errors_of
from dataset.formats.photos_csv import scan_eval, scan_train
from dataset.read import read_eval, read_train
from tests.dataset.formats.conftest import FACTORS, LABELLED
from tests.dataset.refusals import refused


def test_a_factor_that_contradicts_the_label_is_named_with_its_line(write):
    lines = list(LABELLED)
    lines[4] = lines[4].replace(",blue,", ",green,")
    assert refused(read_train, write(*lines, header="path,size,colour,group,label")).endswith(
        "photos.csv line 6: colour contradicts label: that of 's-b' is 'blue' elsewhere, but 'green' here; "
        "correct one of them, or remove the column"
    )


def test_names_of_classes_that_run_together_are_refused(write):
    rows = [f"{a}{b}{n}.jpg,{a},{b}" for a in ("x", "x y") for b in ("z", "y z") for n in range(2)]
    message = refused(read_train, write(*rows, header="path,first,second"))
    assert "classes of one name: x y z; rename a value" in message


BAD_GROUPS = {
    "[": "not a regular expression (unterminated character set at position 0); and no column has this name: unknown column '['; known: group",
    "grp": "this regular expression matches no photo; paths are cat0_0.jpg, cat0_1.jpg, cat0_2.jpg and 33 more; and no column has this name: unknown column 'grp'; did you mean group?",
    "dog|cat": "this regular expression matches 24 of 36 photos; paths without a match are eel0_0.jpg",
    "jpg": "this regular expression gives all photos the same group, 'jpg'; put brackets around the part",
    "label": "can't be the group",
    "path": "can't be the group",
}  # fmt: skip


@pytest.mark.parametrize("group", BAD_GROUPS)
def test_a_group_that_can_not_be_is_refused(write, pets, group):
    message = refused(read_train, write(*pets), group=group)
    assert message.startswith(f"group={group}: ")
    assert BAD_GROUPS[group] in message


def test_a_photo_named_twice_or_outside_or_of_another_kind_or_missing_is_named_with_its_line(write, pets):
    data = write("./cat0_0.jpg,cat,cat0,train", "../x.jpg,cat,cat0,train", "/etc/x.jpg,cat,cat0,train",
                 "a/../../set2/x.jpg,cat,cat0,train", "notes.txt,cat,cat0,train", "no.jpg,cat,cat0,train",
                 r"a\b.jpg,cat,cat0,train", ",cat,cat0,train", *pets, missing=("no.jpg", r"a\b.jpg"))  # fmt: skip
    csv = data / "photos.csv"
    assert errors_of(read_train, data) == [
        f"{csv} line 3: path '../x.jpg' is outside the data folder; give paths below {data}",
        f"{csv} line 4: path '/etc/x.jpg' is outside the data folder; give paths below {data}",
        f"{csv} line 5: path 'a/../../set2/x.jpg' is outside the data folder; give paths below {data}",
        f"{csv} line 6: 'notes.txt' is not a photo by its name (.jpg, .jpeg, .png)",
        f"{csv} line 7: no file no.jpg",
        rf"{csv} line 8: no file a\b.jpg; write paths with /",
        f"{csv} line 9: no path",
        f"{csv} line 10: path 'cat0_0.jpg' is listed in line 2 already; keep one",
    ]
    task, table, _ = scan_train(data)
    assert len(table) == 36 and task.n_classes == 3  # what could be read, for the checks of the photos


def test_absolute_paths_below_the_folder_and_folders_named_like_it_are_told_apart(write, pets, tmp_path):
    data = write(*pets)
    csv = data / "photos.csv"
    csv.write_text(csv.read_text().replace("cat0_0.jpg", f"{data}/cat0_0.jpg"))
    assert "cat0_0.jpg" in set(read_train(data).table["photo"])
    csv.write_text(csv.read_text().replace(f"{data}/cat0_0.jpg", f"{data}2/cat0_0.jpg"))
    assert "is outside the data folder" in refused(read_train, data)


def test_a_folder_where_a_photo_should_be(write, pets):
    data = write(*pets)
    (data / "cat0_0.jpg").unlink()
    (data / "cat0_0.jpg").mkdir()
    assert refused(read_train, data).endswith("line 2: cat0_0.jpg: a folder, not a photo")


def test_if_no_photo_exists_it_is_said_once(write, pets):
    data = write(*pets, missing=tuple(line.split(",")[0] for line in pets))
    assert refused(read_train, data) == (
        f"{data / 'photos.csv'}: none of its 36 photos exists (cat0_0.jpg, cat0_1.jpg and 34 more); "
        f"give paths below {data}"
    )


def test_errors_of_the_other_half_are_left_to_its_reader(write, pets):
    data = write(*pets, "gone.jpg,,,eval", missing=("gone.jpg",))
    assert len(read_train(data).table) == 36
    assert "line 40: no file gone.jpg" in refused(read_eval, data)
    assert list(scan_eval(data)[0]["photo"]) == ["new2.jpg", "new1.jpg"]


def test_empty_cells_and_unknown_splits_are_named_with_their_lines(write, pets):
    pets[0] = pets[0].replace(",cat,", ",,")
    pets[2] = pets[2].replace(",cat,", ",,")
    pets[5] = pets[5].replace(",cat1,", ",,")
    pets[6] = pets[6].replace(",train", ",tarin")
    pets[7] = pets[7].replace(",train", ",")
    data = write(*pets)
    csv = data / "photos.csv"
    assert sorted(errors_of(read_train, data)) == [
        f"{csv} line 7: no group",
        f"{csv} line 8: unknown split 'tarin'; did you mean train?",
        f"{csv} line 9: no split",
        f"{csv} lines 2, 4: no label",
    ]


def test_an_empty_factor_is_named(write):
    lines = list(FACTORS)
    lines[3] = lines[3].replace(",blue,", ",,")
    assert refused(read_train, write(*lines, header="path,size,colour,group")).endswith("line 5: no colour")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "file,label,group,split",
            "no column 'path'; it has file,label,group,split; should 'file' be 'path'?",
        ),
        ("uri,label,group,split", "no column 'path'; it has uri,label,group,split"),
        ("path,Label,group,split", "should column 'Label' be 'label'?"),
        ("path, label,group,split", "should column ' label' be 'label'?"),
        ("path,class,group,split", "it has path,class,group,split; should 'class' be 'label'?"),
        ("path,category,place,split", "should 'category' be 'label'?"),
        ("path,x,group,split", "no column 'label', nor several factor columns with two values or more"),
    ],
)
def test_columns_of_other_names_are_refused_with_what_was_meant(write, pets, header, message):
    data = write(*pets, header=header)
    first, *others = errors_of(read_train, data)
    assert message in first
    (formats,) = others
    assert formats.startswith(
        f"{data}: fits no format of data sets; nearest is (1). The formats: (1) photos.csv with a row per photo"
    )
    assert errors_of(read_eval, data) == [first, formats]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("path;label;group;split", "its columns are separated by semicolons; save it with commas"),
        ("path,label,label,split", "column 'label' appears 2 times; keep one"),
        ("path,label,group", ": 4 fields, but the header names 3"),
    ],
)
def test_a_file_that_cannot_be_read_is_no_matter_of_formats(write, pets, header, message):
    data = write(*pets, header=header)
    (error,) = errors_of(read_train, data)
    assert message in error
    assert errors_of(read_eval, data) == [error]


def test_all_columns_of_other_names_are_named_at_once(write, pets):
    csv = write(*pets, header="Filename,Class,group,split") / "photos.csv"
    has = "it has Filename,Class,group,split"
    assert errors_of(read_train, csv.parent)[:2] == [
        f"{csv}: no column 'path'; {has}; should 'Filename' be 'path'?",
        f"{csv}: no column 'label', nor several factor columns with two values or more; {has}; "
        "should 'Class' be 'label'?",
    ]
    write(*pets, header="Path,Label,group,split")
    assert errors_of(read_train, csv.parent)[:2] == [
        f"{csv}: should column 'Path' be 'path'?",
        f"{csv}: should column 'Label' be 'label'?",
    ]


def test_a_line_break_in_a_value_is_refused(write, pets):
    data = write(*pets)
    csv = data / "photos.csv"
    csv.write_text(csv.read_text().replace(",cat,", ',"c\nat",'))
    (message,) = errors_of(read_train, data)
    assert message.startswith(f"{csv} lines 3, 5, 7") and message.endswith("a line break in label; remove it")


def test_a_table_of_people_is_nearest_to_the_competitions_layout(write):
    lines = [f"{n:06d},male,Asian,{20 + n},{n:06d}_male_Asian_{20 + n}" for n in range(9)]
    message = refused(read_train, write(*lines, header="id,gender,race,age,path"))
    assert "nearest is (2): photos.csv has the columns of its train/train.csv" in message


@pytest.mark.parametrize("content", ["", "path,label\n"])
def test_a_csv_without_lines(write, content):
    data = write()
    (data / "photos.csv").write_text(content)
    assert (
        "an empty file" in errors_of(read_train, data)[0]
        or "lists no photo" in errors_of(read_train, data)[0]
    )


@pytest.mark.parametrize(
    "header",
    [
        "path,label,group,split",
        "path,size,group,split",
        "path,w cut at 2,group,split",
        "path,label,group,split,w cut at 2",
    ],
)
def test_only_photos_to_predict_can_be_predicted_but_not_trained_on(write, header):
    more = ",1" if header.count(",") == 4 else ""
    data = write(f"a.jpg,,rex,eval{more}", f"b.jpg,,rex,eval{more}", header=header)
    table = read_eval(data)
    assert [list(table[name]) for name in ("photo", "group", "class")] == [
        ["a.jpg", "b.jpg"],
        ["rex", "rex"],
        ["", ""],
    ]
    assert refused(read_train, data).endswith("photos.csv: has no photo to train on")


def test_classes_of_one_photo_or_one_group_are_refused_each_kind_once(write, pets):
    more = ["e.jpg,emu,emu0,train", "f.jpg,fox,fox0,train", "g1.jpg,gnu,gnu0,train", "g2.jpg,gnu,gnu0,train"]
    data = write(*pets, *more)
    csv = data / "photos.csv"
    why = "can't be both learned and validated; add photos, merge"
    assert errors_of(read_train, data) == [
        f"{csv}: 2 classes have one photo only (emu, fox), so they {why} them with other classes, or leave them out",
        f"{csv}: class 'gnu' has photos of one group only, so it {why} it with another class, or leave it out",
    ]


def test_one_class_is_none(write, pets):
    message = refused(read_train, write(*(line for line in pets if "cat" in line)))
    assert message.endswith("all photos are of one class (cat); there must be two or more")


def test_a_group_on_both_sides_of_the_split_is_refused(write, pets):
    data = write(*pets, "x.jpg,,cat2,eval", "y.jpg,,dog0,test")
    assert refused(read_train, data) == (
        f"{data / 'photos.csv'}: 2 groups have photos both to train on and to predict, so a score on the latter "
        "would be too high: cat2, dog0; move all photos of each group to one side"
    )


def test_a_class_that_only_photos_to_predict_have_is_refused(write, pets):
    assert "classes that no photo to train on has: emu; add photos" in refused(
        read_train, write(*pets, "x.jpg,emu,emu0,eval")
    )


def test_too_many_classes_are_refused_with_the_columns_that_make_them(write):
    lines = [f"{n}.jpg,{n % 40},{n // 40}" for n in range(1600)]
    message = refused(read_train, write(*lines, header="path,size,hour"))
    assert (
        "more than 1,000 classes as the product of the columns' values (size has 40, hour has 40)" in message
    )
    lines = [f"{n}.jpg,{n // 2}" for n in range(2004)]
    assert "more than 1,000 classes (1,002 labels)" in refused(read_train, write(*lines, header="path,label"))


def test_errors_raise_one_usage_error_with_all_of_them(write, pets):
    pets[0] = pets[0].replace(",cat,", ",,")
    with pytest.raises(UsageError) as caught:
        read_train(write(*pets, "x.jpg,emu,emu0,eval", "../y.jpg,cat,y,train"))
    assert len(caught.value.errors) == 3
