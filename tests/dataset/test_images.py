"""Folders of photos without a CSV, and an info.csv without answers."""

import os

import pytest

from common.errors import UsageError
from dataset.check import check, summary
from dataset.images import read_images
from dataset.read import read_eval


def test_without_info_csv_all_images_of_eval_are_used_and_logged(data, write_photo, capsys):
    images = data / "eval" / "images"
    (data / "eval" / "info.csv").unlink()
    write_photo(images / "B.JPG")
    (images / "Thumbs.db").touch()
    (images / "older").mkdir()
    table = read_eval(data)
    assert list(table["photo"]) == ["B.JPG", "aaaaaaaa.jpg", "bbbbbbbb.jpg", "cccccccc.jpg", "dddddddd.jpg"]
    assert all(os.path.isfile(path) for path in table["path"])
    err = capsys.readouterr().err
    assert f"no {data / 'eval' / 'info.csv'}: all 5 images in {images} are taken, sorted by name" in err
    assert "skipped: 'Thumbs.db', 'older/'" in err
    checked = check(data)
    assert list(checked.eval_photos["photo"]) == list(table["photo"])
    assert "info.csv: all 5 images" in summary(data, checked, 5, 0)[-1]


def test_an_info_csv_needs_no_answers(data, rewrite, capsys):
    before = read_eval(data)
    csv = data / "eval" / "info.csv"
    csv.write_text(csv.read_text().replace(",ans", "").replace(",0", ""))
    assert read_eval(data).equals(before)
    csv.write_text(csv.read_text().replace("ImageID", "ImageID,size").replace(".jpg", ".jpg,12"))
    assert read_eval(data).equals(before)
    assert len(check(data).eval_photos) == 4
    assert capsys.readouterr().err == ""


def test_a_damaged_info_csv_is_still_an_error(data):
    (data / "eval" / "info.csv").write_text("")
    with pytest.raises(UsageError, match="an empty file"):
        read_eval(data)


def test_any_folder_is_read_with_all_below_it_and_what_is_skipped_is_logged(tmp_path, write_photo, capsys):
    folder = tmp_path / "mine"
    for name in ("b/2.png", "b/10.jpeg", "a.JPG", "with space, comma.jpg", "b/.hidden.jpg", ".git/x.jpg"):
        write_photo(folder / name.replace(".JPG", ".jpg"))
    os.rename(folder / "a.jpg", folder / "a.JPG")
    for name in ("z.heic", "b/notes.txt"):
        (folder / name).touch()
    (folder / "b" / "up").symlink_to(folder)  # would go round for ever
    write_photo(tmp_path / "elsewhere" / "c.jpg")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    table = read_images(folder)
    assert list(table["photo"]) == ["a.JPG", "b/10.jpeg", "b/2.png", "linked/c.jpg", "with space, comma.jpg"]
    assert list(table["path"]) == [str(folder / name) for name in table["photo"]]
    err = capsys.readouterr().err
    assert f"all 5 images in {folder} are taken" in err
    assert (
        "skipped: 'z.heic', '.git/', 'b/.hidden.jpg', 'b/notes.txt', 'b/up/' (only .jpg, .jpeg, .png" in err
    )


def test_many_skipped_files_are_counted_what_may_be_a_photo_first(tmp_path, write_photo, capsys):
    write_photo(tmp_path / "a.jpg")
    for number in range(30):
        (tmp_path / f"{number:02d}.txt").touch()
    (tmp_path / "z.webp").touch()
    read_images(tmp_path)
    err = capsys.readouterr().err
    assert "skipped: 'z.webp', '00.txt'" in err
    assert "and 11 more" in err


def test_what_is_named_like_a_photo_and_is_none_is_refused_all_at_once(tmp_path, write_photo):
    write_photo(tmp_path / "a.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "round.jpg").symlink_to(tmp_path / "round.jpg")
    os.mkfifo(tmp_path / "pipe.png")
    os.rename(tmp_path / "a.jpg", os.fsencode(tmp_path) + b"/\xff.jpg")
    with pytest.raises(UsageError) as error:
        read_images(tmp_path)
    assert len(error.value.errors) == 4
    for words in (
        "gone.jpg: a link to ",
        "round.jpg: a link that",
        "pipe.png: a named pipe",
        "the name is not UTF-8",
    ):
        assert words in str(error.value)


def test_folders_that_systems_leave_behind_are_not_entered(tmp_path, write_photo, capsys):
    write_photo(tmp_path / "a.jpg")
    for folder in ("@eaDir", "__MACOSX", ".git"):
        write_photo(tmp_path / folder / "thumbnail.jpg")
    assert list(read_images(tmp_path)["photo"]) == ["a.jpg"]
    assert "skipped: '.git/', '@eaDir/', '__MACOSX/' (only" in capsys.readouterr().err


def test_a_folder_without_images_is_refused(tmp_path):
    for folder, words in (
        (tmp_path, "contains no image"),
        (tmp_path / "x", "no folder"),
        (tmp_path / "f", "no folder"),
    ):
        (tmp_path / "f").touch()
        with pytest.raises(UsageError, match=words):
            read_images(folder)


@pytest.mark.parametrize("name", [" a.jpg", "a\rb.jpg", "a\nb.jpg", "\u3000a.jpg"])
def test_a_name_that_a_csv_does_not_give_back_is_refused_before_anything_is_predicted(
    tmp_path, write_photo, name
):
    write_photo(tmp_path / "a.jpg")
    os.rename(tmp_path / "a.jpg", tmp_path / name)
    with pytest.raises(UsageError, match="rename the file"):
        read_images(tmp_path)


def test_a_folder_named_like_a_photo_is_refused(tmp_path, write_photo):
    write_photo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").mkdir()
    with pytest.raises(UsageError, match=r"b\.jpg: a folder, not a photo"):
        read_images(tmp_path)
