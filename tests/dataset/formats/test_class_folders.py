import shutil

import pytest

from common.errors import errors_of
from dataset.check import check
from dataset.formats.class_folders import scan_train
from dataset.read import CLASS_FOLDERS, format_of, read_eval, read_train
from tests.dataset.refusals import refused

ANIMAL = r"([a-z]+\d)_"


def test_folders_are_the_classes_in_natural_order(folders, touch):
    for number in range(2):
        touch(folders / "train" / "grade 10" / f"{number}.PNG")
        touch(folders / "train" / "grade 9" / "below" / f"{number}.jpeg")
    task, table = read_train(folders)
    assert format_of(folders) == CLASS_FOLDERS
    assert task.classes == task.answers == ("cat", "dog", "eel", "grade 9", "grade 10")
    assert list(table.columns) == ["photo", "path", "group", "label"]
    below = table[table["photo"] == "train/grade 9/below/1.jpeg"].iloc[0]
    assert below["label"] == 3 and below["path"] == str(folders / "train/grade 9/below/1.jpeg")


def test_folders_named_by_number_are_in_the_order_of_the_numbers(tmp_path, touch):
    for name in range(12):
        for number in range(2):
            touch(tmp_path / "train" / str(name) / f"{number}.jpg")
    assert read_train(tmp_path).task.classes == tuple(map(str, range(12)))


def test_groups_are_a_regular_expression_on_the_path(folders, caplog):
    task, table = read_train(folders, group=ANIMAL)
    assert (task.group, task.groups) == ("group", "groups")
    assert table["group"].nunique() == 12
    assert list(table["group"]) == sorted(table["group"])
    assert not caplog.messages
    task, table = read_train(folders)
    assert task.group == "photo" and (table["group"] == table["photo"]).all()
    assert any("every photo counts as its own" in message for message in caplog.messages)


def test_several_brackets_make_a_group_together(folders):
    table = read_train(folders, group=r"train/(\w+)/\w+?(\d)_").table
    assert {"cat 0", "eel 3"} < set(table["group"]) and table["group"].nunique() == 12


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ("(", "not a regular expression (missing ), unterminated subpattern at position 0)"),
        ("patient", "this regular expression matches no photo; paths are train/cat/cat0_0.jpg"),
        ("([cd]\\w+\\d)_", "matches 24 of 36 photos; paths without a match are train/eel/eel0_0.jpg"),
        ("^train", "gives all photos the same group, 'train'; put brackets around"),
    ],
)
def test_a_regular_expression_that_can_not_be_is_refused(folders, group, message):
    assert message in refused(read_train, folders, group=group)


def test_photos_to_predict_are_sorted_and_need_no_class(folders):
    table = read_eval(folders)
    assert list(table["photo"]) == ["new1.jpg", "new2.jpg"]
    assert list(table["class"]) == ["", ""]


def test_photos_to_predict_in_folders_of_classes_have_theirs(folders, touch):
    touch(folders / "eval" / "dog" / "new3.jpg")
    assert read_eval(folders).set_index("photo")["class"].to_dict() == {
        "dog/new3.jpg": "dog", "new1.jpg": "", "new2.jpg": "",
    }  # fmt: skip
    shutil.rmtree(folders / "eval" / "dog")
    touch(folders / "eval" / "monday" / "new3.jpg")  # folders of other names are no classes
    assert set(read_eval(folders)["class"]) == {""}


def test_test_is_eval_by_another_name_but_not_both(folders, touch):
    (folders / "eval").rename(folders / "test")
    assert list(read_eval(folders)["photo"]) == ["new1.jpg", "new2.jpg"]
    touch(folders / "eval" / "new1.jpg")
    assert refused(read_eval, folders) == f"{folders}: has both eval/ and test/; keep one of them"


def test_photos_of_val_join_those_of_train(folders, touch, caplog):
    touch(folders / "val" / "dog" / "dog0_0.jpg")
    table = read_train(folders, group=ANIMAL).table
    assert list(table.loc[table["group"] == "dog0", "photo"]) == [
        "train/dog/dog0_0.jpg", "val/dog/dog0_0.jpg", "train/dog/dog0_1.jpg", "train/dog/dog0_2.jpg",
    ]  # fmt: skip
    assert any("photos of val join those of train" in message for message in caplog.messages)


def test_photos_beside_the_folders_are_refused(folders, touch):
    touch(folders / "train" / "x.jpg")
    touch(folders / "train" / "y.jpg")
    message = refused(read_train, folders)
    assert message.startswith(
        f"{folders / 'train' / 'x.jpg'}: lies beside the folders of the classes (2 such photos); move"
    )
    assert len(scan_train(folders).table) == 36


def test_an_empty_folder_is_noted_and_other_files_too(folders, touch, caplog):
    (folders / "train" / "ant").mkdir()
    touch(folders / "train" / ".git" / "x.jpg")
    touch(folders / "train" / "cat" / "x.webp")
    assert read_train(folders).task.classes == ("cat", "dog", "eel")
    assert any(message.endswith("folders without a photo are no classes: ant") for message in caplog.messages)
    assert any("skipped: 'cat/x.webp'" in message for message in caplog.messages)


def test_one_photo_one_group_and_one_class(folders, touch):
    touch(folders / "train" / "fox" / "fox0_0.jpg")
    touch(folders / "train" / "gnu" / "gnu0_0.jpg")
    touch(folders / "train" / "gnu" / "gnu0_1.jpg")
    assert [error.partition(": ")[2].partition(",")[0] for error in errors_of(read_train, folders, group=ANIMAL)] == [
        "class 'fox' has one photo only", "class 'gnu' has photos of one group only",
    ]  # fmt: skip
    assert refused(read_train, folders).startswith(f"{folders / 'train'}: class 'fox' has one photo only")
    for name in ("cat", "dog", "eel", "fox"):
        shutil.rmtree(folders / "train" / name)
    assert "all photos are of one class (gnu)" in refused(read_train, folders)


def test_a_group_on_both_sides_is_refused(folders, touch):
    touch(folders / "eval" / "dog1_9.jpg")
    assert len(read_train(folders).table) == 36  # without groups nobody can know
    message = refused(read_train, folders, group=ANIMAL)
    assert "1 group has photos both to train on and to predict" in message and ": dog1; move" in message


def test_a_class_that_only_photos_to_predict_have_is_refused(folders, touch):
    touch(folders / "eval" / "dog" / "x.jpg")
    touch(folders / "eval" / "emu" / "y.jpg")
    assert "classes that no photo to train on has: emu; add photos" in refused(read_train, folders)


def test_a_set_without_photos_is_refused(folders):
    for photo in folders.rglob("*.jpg"):
        photo.unlink()
    assert any("contains no image" in error for error in errors_of(read_train, folders))
    assert any("contains no image" in error for error in errors_of(read_eval, folders))


def test_without_a_train_half_photos_can_be_predicted(folders):
    shutil.rmtree(folders / "train")
    assert len(read_eval(folders)) == 2
    assert refused(read_train, folders) == f"{folders / 'train'}: has no photo to train on"


def test_check_names_all_errors_at_once(folders, touch):
    touch(folders / "train" / "x.jpg")
    touch(folders / "eval" / "emu" / "y.jpg")
    touch(folders / "eval" / "cat" / "y.jpg")
    errors = errors_of(check, folders)
    assert (
        sum(
            "has a damaged" in error or "not an image" in error or "an empty file" in error
            for error in errors
        )
        > 30
    )
    assert any("lies beside the folders" in error for error in errors)
    assert any("no photo to train on has: emu" in error for error in errors)


def test_eval_images_do_not_make_it_the_competitions_layout(folders):
    (folders / "eval").rename(folders / "images")
    (folders / "eval").mkdir()
    (folders / "images").rename(folders / "eval" / "images")
    (folders / "eval" / "info.csv").write_text("ImageID,ans\n")
    assert format_of(folders) == CLASS_FOLDERS
    assert len(read_eval(folders)) == 2


def test_spaces_around_a_class_are_refused(folders):
    (folders / "train" / "cat").rename(folders / "train" / "cat ")
    assert refused(read_train, folders) == (
        f"{folders / 'train'}: spaces around the class 'cat '; rename the folder"
    )


def test_a_regular_expression_is_quoted_as_it_was_given(folders):
    group = r"patient(\d)\."
    assert refused(read_train, folders, group=group).startswith(f"group={group}: this regular expression")
