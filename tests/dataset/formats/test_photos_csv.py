import re
import time

import pytest

from common.errors import UsageError, errors_of
from dataset.formats.photos_csv import scan_eval, scan_train
from dataset.read import PHOTOS_CSV, format_of, read_eval, read_train


def refused(read, *given, **named) -> str:
    """The one message."""
    (message,) = errors_of(read, *given, **named)
    return message


def test_labels_are_names_in_natural_order_and_photos_are_sorted_by_group(write):
    lines = [
        f"g{grade}/{photo}.jpg,grade {grade},{owner}"
        for grade in (10, 2)
        for photo, owner in enumerate("bacd")
    ]
    data = write(*lines, header="path,label,group")
    task, table = read_train(data)
    assert format_of(data) == PHOTOS_CSV
    assert task.classes == task.answers == ("grade 2", "grade 10")
    assert (task.group, task.groups, task.factors, task.n_classes) == ("group", "groups", {}, 2)
    assert list(table.columns) == ["photo", "path", "group", "label"]
    assert list(table["photo"][:3]) == ["g10/1.jpg", "g2/1.jpg", "g10/0.jpg"]
    assert list(table["label"][:3]) == [1, 0, 1]
    assert list(table["path"]) == [str(data / photo) for photo in table["photo"]]


def test_photos_to_predict_keep_their_order_and_their_labels_if_they_have_any(write, pets):
    table = read_eval(write(*pets))
    assert list(table["photo"]) == ["new2.jpg", "new1.jpg"]
    assert list(table["class"]) == ["", "dog"]
    assert list(table["group"]) == ["", "rex"]


@pytest.mark.parametrize("split", ["val", "Valid", "validation", "TRAIN"])
def test_validation_photos_join_those_of_train(write, pets, split, caplog):
    data = write(*(line.replace("dog1,train", f"dog1,{split}") for line in pets))
    assert len(read_train(data).table) == 36
    assert any("join those of train" in message for message in caplog.messages) == (split != "TRAIN")


def test_without_a_split_or_groups_every_photo_is_trained_on_and_its_own_group_with_a_warning(write, caplog):
    data = write(*(f"{n}.png,{'ab'[n % 2]}" for n in range(8)), header="path,label")
    task, table = read_train(data)
    assert (task.group, task.groups) == ("photo", "photos")
    assert (table["group"] == table["photo"]).all()
    assert any("every photo counts as its own" in message for message in caplog.messages)
    assert "no photos to predict" in refused(read_eval, data)


FACTORS = [
    f"{size}{colour}{n}.jpg,{size},{colour},{size}{colour}{n}"
    for size in ("small", "large") for colour in ("red", "blue", "green") for n in range(3)
]  # fmt: skip


def test_classes_without_a_label_are_the_product_of_the_factors(write):
    task, table = read_train(write(*FACTORS, header="path,size,colour,group"))
    assert task.factors == {"size": ("large", "small"), "colour": ("blue", "green", "red")}
    assert task.classes[:2] == ("large blue", "large green") and task.n_classes == 6
    row = table[table["photo"] == "smallgreen1.jpg"].iloc[0]
    assert (row["size"], row["colour"], row["label"]) == (1, 1, 4)
    assert (table["label"] == task.label(table)).all()


def test_a_class_that_no_photo_has_is_noted_and_a_column_of_one_value_is_no_factor(write, caplog):
    lines = [f"{line},outdoors" for line in FACTORS if "smallred" not in line]
    task = read_train(write(*lines, header="path,size,colour,group,place")).task
    assert task.n_classes == 6 and list(task.factors) == ["size", "colour"]
    assert any(
        "1 of 6 classes have no photo" in message and "small red" in message for message in caplog.messages
    )
    assert any("columns not used: place" in message for message in caplog.messages)


def labelled(more: str = "") -> list[str]:
    """FACTORS with a column label, of which they are the parts; `more`: further cells."""
    return [f"{line},{line.split(',')[1][0]}-{line.split(',')[2][0]}{more}" for line in FACTORS]


def test_factors_beside_the_label_keep_its_names(write):
    task, table = read_train(write(*labelled(), header="path,size,colour,group,label"))
    assert task.factors == {"size": ("large", "small"), "colour": ("blue", "green", "red")}
    assert task.classes == ("l-b", "l-g", "l-r", "s-b", "s-g", "s-r")  # in the order of the factors
    assert (table["label"] == task.label(table)).all()


@pytest.mark.parametrize("kind", ["one to one", "coarser", "random", "with a gap", "one factor"])
def test_other_columns_beside_the_label_are_no_factors(write, kind, caplog):
    header, lines = "path,size,colour,group,label,more", labelled()
    if kind == "one to one":
        lines = [f"{line},n{line.rpartition(',')[2]}" for line in lines]
    elif kind == "coarser":
        lines = [f"{line},{'warm' if 'red' in line else 'cold'}" for line in lines]
    elif kind == "random":
        lines = [f"{line},{number % 4}" for number, line in enumerate(lines)]
    elif kind == "with a gap":  # without one of the combinations there are five labels, not six
        lines = [f"{line}," for line in lines if "smallred" not in line]
    else:
        header = "path,size,group,label,more"
        lines = [re.sub(",(red|blue|green),", ",", line) + "," for line in lines]
    task = read_train(write(*lines, header=header)).task
    assert list(task.factors) == ([] if kind in ("with a gap", "one factor") else ["size", "colour"])
    assert task.n_classes == {"with a gap": 5}.get(kind, 6)
    assert any("columns not used: " in message and "more" in message for message in caplog.messages)


def test_a_factor_that_contradicts_the_label_is_named_with_its_line(write):
    lines = labelled()
    lines[4] = lines[4].replace(",blue,", ",green,")
    assert refused(read_train, write(*lines, header="path,size,colour,group,label")).endswith(
        "photos.csv line 6: colour contradicts label: that of 's-b' is 'blue' elsewhere, but 'green' here; "
        "correct one of them, or remove the column"
    )


def test_names_of_classes_that_run_together_are_refused(write):
    rows = [f"{a}{b}{n}.jpg,{a},{b}" for a in ("x", "x y") for b in ("z", "y z") for n in range(2)]
    message = refused(read_train, write(*rows, header="path,first,second"))
    assert "classes of one name: x y z; rename a value" in message


@pytest.mark.parametrize("words", [("group", ""), ("patient", "patient"), (r"photo regex", r"^([a-z]+\d)_")])
def test_groups_are_a_column_or_a_regular_expression_on_the_path(write, pets, words):
    column, option = words
    header = "path,label,patient,split" if column == "patient" else "path,label,group,split"
    data = write(*pets, header=header)
    task, table = read_train(data, group=option)
    assert set(table["group"]) == {f"{name}{n}" for name in ("cat", "dog", "eel") for n in range(4)}
    assert task.groups == ("patients" if column == "patient" else "groups")
    assert list(task.factors) == []  # the group is no factor


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("person", "people"),
        ("study", "studies"),
        ("box", "boxes"),
        ("patients", "patients"),
        ("photos", "photos"),
        ("class", "classes"),
        ("day", "days"),
        ("patient_id", "patient_ids"),
    ],
)
def test_what_groups_are_called(write, pets, word, words):
    assert read_train(write(*pets, header=f"path,label,{word},split"), group=word).task.groups == words


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


def test_labels_of_very_many_digits_are_sorted_as_numbers(write, pets):
    long = "1" * 5000
    data = write(*pets)
    csv = data / "photos.csv"
    csv.write_text(csv.read_text().replace(",cat,", f",{long},").replace(",dog,", f",9{long[2:]},"))
    assert read_train(data).task.classes == (f"9{long[2:]}", long, "eel")


def test_a_group_column_that_another_takes_the_place_of_is_said(write, pets, caplog):
    lines = [f"{line},{'sx'[number % 2]}{number // 6}" for number, line in enumerate(pets)]
    read_train(write(*lines, header="path,label,group,split,site"), group="site")
    assert any("columns not used: group" in message for message in caplog.messages)


def test_many_columns_beside_many_labels_are_soon_looked_through(write):
    header = ",".join(["path", "label", "photos", *(f"x{divisor}" for divisor in range(2, 31))])
    lines = [
        f"{number}.jpg,c{number % 300}," + ",".join(str(number % 300 % divisor) for divisor in range(1, 31))
        for number in range(1200)
    ]
    data = write(*lines, header=header)
    started = time.process_time()
    assert not read_train(data).task.factors
    assert time.process_time() - started < 2


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


def test_only_photos_to_predict_can_be_predicted_but_not_trained_on(write):
    data = write("a.jpg,,,eval", "b.jpg,,,eval")
    assert list(read_eval(data)["photo"]) == ["a.jpg", "b.jpg"]
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
        "would be too high: cat2, dog0; move all photos of a group to one side"
    )


def test_a_class_that_only_photos_to_predict_have_is_refused(write, pets):
    assert "classes that no photo to train on has: emu; add photos" in refused(
        read_train, write(*pets, "x.jpg,emu,emu0,eval")
    )


def test_classes_that_differ_in_case_are_noted(write, pets, caplog):
    read_train(write(*pets, *(f"C{n}.jpg,Cat,C{n},train" for n in range(3))))
    assert any("only in upper and lower case: 'Cat' and 'cat'" in message for message in caplog.messages)


def test_too_many_classes_are_refused_with_the_columns_that_make_them(write):
    lines = [f"{n}.jpg,{n % 40},{n // 40}" for n in range(1600)]
    message = refused(read_train, write(*lines, header="path,size,hour"))
    assert (
        "more than 1,000 classes as the product of the columns' values (size has 40, hour has 40)" in message
    )
    lines = [f"{n}.jpg,{n // 2}" for n in range(2004)]
    assert "more than 1,000 classes (1,002 labels)" in refused(read_train, write(*lines, header="path,label"))


def test_a_column_named_like_one_of_ours_does_no_harm(write, pets, caplog):
    lines = [f"{line},{number % 3},{number % 2},{number}" for number, line in enumerate(pets)]
    task, table = read_train(write(*lines, header="path,label,group,split,copy,fold,photo"))
    assert list(table.columns) == ["photo", "path", "group", "label"] and not task.factors
    assert table["photo"].str.endswith(".jpg").all()
    assert any("columns not used: copy, fold, photo" in message for message in caplog.messages)


def test_a_factor_may_have_any_other_name(write, pets):
    lines = [f"{line},{('yes', 'no')[number % 2]}" for number, line in enumerate(pets)]
    data = write(*lines, header="path,kind,group,split,found")
    assert set(read_train(data).task.factors) >= {"found"}
    assert list(read_eval(data)["photo"]) == ["new2.jpg", "new1.jpg"]


def test_a_group_called_photo_is_a_group(write, pets):
    task = read_train(write(*pets, header="path,label,photo,split"), group="photo").task
    assert (task.group, task.column) == ("group", "group")


def test_three_hundred_classes(write):
    lines = [f"{n}_{owner}.jpg,class {n},{n}-{owner}" for n in range(300) for owner in range(2)]
    task = read_train(write(*lines, header="path,label,group")).task
    assert task.n_classes == 300 and task.classes[10] == "class 10"


def test_rare_classes_are_those_of_few_groups(write, pets):
    assert read_train(write(*pets)).task.rare == ()
    more = [f"e{n}_{m}.jpg,emu,e{n},train" for n in range(20) for m in range(2)]
    assert read_train(write(*pets, *more)).task.rare == ()  # 4 of 32 groups; an even share is 8, half of it 4
    more += ["e20.jpg,emu,e20,train"]
    assert read_train(write(*pets, *more)).task.rare == (0, 1, 2)


def test_errors_raise_one_usage_error_with_all_of_them(write, pets):
    pets[0] = pets[0].replace(",cat,", ",,")
    with pytest.raises(UsageError) as caught:
        read_train(write(*pets, "x.jpg,emu,emu0,eval", "../y.jpg,cat,y,train"))
    assert len(caught.value.errors) == 3
