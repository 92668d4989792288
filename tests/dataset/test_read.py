"""Which format a folder is read in, and what is said if none fits."""

import pytest

from common.errors import errors_of
from dataset.check import check
from dataset.face_masks.labels import FACE_MASK
from dataset.read import CLASS_FOLDERS, COMPETITION, FORMATS, PHOTOS_CSV, format_of, read_eval, read_train


def refused(read, *given, **named) -> str:
    """The one message."""
    (message,) = errors_of(read, *given, **named)
    return message


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
        (["a.jpg", "b.jpg"], "; nearest is (3): move each photo into {}/train/ its class"),
        (["train/a.jpg"], "; nearest is (3): are train the folders of the classes? move them into {}/train"),
    ],
)  # fmt: skip
def test_a_folder_that_fits_no_format_is_told_what_each_wants_and_the_nearest(tmp_path, names, nearest, read):
    put(tmp_path, *names)
    message = refused(read, tmp_path)
    assert message.startswith(
        f"{tmp_path}: fits no format of data sets{nearest.format(tmp_path)}. The formats: "
    )
    assert all(form.wants in message for form in FORMATS.values())


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
