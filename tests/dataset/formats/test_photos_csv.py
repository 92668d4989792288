"""What is read from a photos.csv: classes, factors, groups, halves."""

import re
import time

import pytest

from dataset.read import PHOTOS_CSV, format_of, read_eval, read_train
from tests.dataset.formats.conftest import FACTORS, LABELLED
from tests.dataset.refusals import refused


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


def test_photos_to_predict_may_have_a_combination_that_no_photo_to_train_on_has(write):
    lines = [f"{line},{'eval' if 'smallred' in line else 'train'}" for line in FACTORS]
    data = write(*lines, header="path,size,colour,group,split")
    assert "small red" in read_train(data).task.classes
    assert set(read_eval(data)["class"]) == {"small red"}
    data = write(*lines, "x.jpg,huge,red,x,eval", header="path,size,colour,group,split")
    assert "classes that no photo to train on has: huge red;" in refused(read_train, data)


def test_factors_beside_the_label_keep_its_names(write):
    task, table = read_train(write(*LABELLED, header="path,size,colour,group,label"))
    assert task.factors == {"size": ("large", "small"), "colour": ("blue", "green", "red")}
    assert task.classes == ("l-b", "l-g", "l-r", "s-b", "s-g", "s-r")  # in the order of the factors
    assert (table["label"] == task.label(table)).all()


@pytest.mark.parametrize("kind", ["one to one", "coarser", "random", "with a gap", "one factor"])
def test_other_columns_beside_the_label_are_no_factors(write, kind, caplog):
    header, lines = "path,size,colour,group,label,more", list(LABELLED)
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


def test_classes_that_differ_in_case_are_noted(write, pets, caplog):
    read_train(write(*pets, *(f"C{n}.jpg,Cat,C{n},train" for n in range(3))))
    assert any("only in upper and lower case: 'Cat' and 'cat'" in message for message in caplog.messages)


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
