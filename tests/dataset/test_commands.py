import os

import numpy as np
import pytest
from typer.testing import CliRunner

from common.errors import UsageError
from dataset import check as checking
from dataset.__main__ import app
from dataset.cache import arrays
from dataset.crops import CROPS
from dataset.read import read_train
from trial.choice import choose


@pytest.fixture
def run():
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_draw_then_check(run, tmp_path):
    small = ("--people", 12, "--eval-people", 6, "--folds", 2, "--height", 64, "--width", 48)
    drawn = run("synthetic", "--out", tmp_path / "set", *small)
    assert drawn.exit_code == 0, drawn.output
    result = run("check", tmp_path / "set", "--folds", 2)
    assert result.exit_code == 0, result.output
    assert "12 people, 84 photos; eval: 42 photos" in result.output and "no errors" in result.output
    again = run("synthetic", "--out", tmp_path / "set", *small)
    assert again.exit_code == 2 and "already exists" in again.stderr


def test_check_names_errors_of_both_halves_and_photos(run, data, rewrite):
    photo = next((data / "train" / "images" / "000003_male_Asian_30").glob("mask2.*"))
    photo.write_text("no photo")
    (data / "eval" / "images" / "aaaaaaaa.jpg").write_bytes(b"")
    (data / "eval" / "images" / "bbbbbbbb.jpg").unlink()
    rewrite("train/train.csv", "000001,male", "000001,mael")
    result = run("check", data, "--corrections", "competitoin")
    assert result.exit_code == 2 and "Traceback" not in result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 5, lines
    for piece in (
        str(photo),
        "aaaaaaaa.jpg",
        "bbbbbbbb.jpg",
        "unknown gender 'mael'",
        "did you mean competition",
    ):
        assert piece in result.stderr


def test_check_says_which_side_lacks_a_class(run, data):
    result = run("check", data)
    assert result.exit_code == 0
    assert "fold 0: validation lacks " in result.output


def test_a_set_without_eval_half_by_option(data):
    for path in (data / "eval" / "images").iterdir():
        path.unlink()
    with pytest.raises(UsageError):
        checking.check(data)
    checked = checking.check(data, with_eval=False)
    assert (len(checked.train), len(checked.eval_photos)) == (98, 0)


def test_help_shows_whole_summaries(run):
    lines = run("--help").output.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == ["synthetic", "digits", "check", "cache"]
    assert all(line.endswith(".") and not line.endswith("...") for line in lines), lines


@pytest.mark.parametrize("command", ["synthetic", "digits", "check", "cache"])
def test_help_shows_an_example(run, command):
    result = run(command, "--help")
    assert result.exit_code == 0 and f"Example: python -m dataset {command}" in result.output


def test_a_wrong_path_is_one_clear_line(run, tmp_path):
    result = run("check", tmp_path / "nowhere")
    assert (
        result.exit_code == 2
        and result.stderr.startswith("no folder ")
        and len(result.stderr.splitlines()) == 1
    )


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(arrays, "CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def test_cache_is_built_listed_and_removed(run, data, folder):
    assert "0 arrays" in run("cache").output
    for size in ("8x6", "4x3"):
        built = run("cache", data, "--size", size)
        assert built.exit_code == 0 and f"98 photos at {size} are cached in {folder}" in built.output, (
            built.output
        )
    paths = list(read_train(data).table["path"])
    shared = arrays.cached(paths, (8, 6), "bilinear", folder, 1)
    assert shared is not None  # a trial finds it
    listed = run("cache").output.splitlines()
    assert len(listed) == 4 and listed[0].startswith("size") and listed[-1].startswith("2 arrays")
    assert listed[1].split()[:4] == ["4x3", "98", "0.0", "MiB"]
    assert listed[1].endswith(str(data / "train" / "images"))

    oldest = next(folder.glob("photos-4x3-*.npy"))
    for words in (("--older-than", 1), ("--size", "9x9"), (folder,)):
        assert run("cache", "--remove", *words).stdout == "0 arrays removed, 0.0 MiB\n"
    os.utime(oldest, (0, 0))
    result = run("cache", "--remove", "--older-than", 1)
    assert result.output.splitlines()[0] == f"removed {oldest} (0.0 MiB)" and not oldest.exists()
    (folder / "killed.part").touch()
    assert run("cache", "--remove", data, "--size", "8x6").output.endswith("1 array removed, 0.0 MiB\n")
    assert [path.name for path in folder.iterdir()] == ["builder.lock"]
    assert shared.sum() > 0  # a process that has it mapped can go on


def test_arrays_of_a_set_whose_folders_are_links_are_removed(run, data, folder, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    for half in ("train", "eval"):
        (linked / half).symlink_to(data / half)
    assert run("cache", linked, "--size", "8x6").exit_code == 0
    assert run("cache", "--remove", linked, "--size", "8x6").output.endswith("1 array removed, 0.0 MiB\n")


def test_a_seed_that_can_not_be_is_refused_before_photos_are_decoded(run, data):
    done = run("check", data, "--seed", "-1")
    assert done.exit_code == 2 and "--seed" in done.stderr


def test_cache_decodes_crops_as_trials_want_them_and_lists_them(run, data, folder, monkeypatch):
    monkeypatch.setattr(
        "dataset.faces.locate.find_faces",
        lambda photos: np.tile(np.array([4, 3, 12, 9], np.float32), (len(photos), 1)),
    )
    for crop in ("none", "center", "face"):
        built = run("cache", data, "--size", "8x6", "--crop", crop)
        assert built.exit_code == 0, built.output
    assert "face found in 98 of 98 photos\n" in built.stderr
    paths = list(read_train(data).table["path"])
    for name in ("none", "center", "face"):
        errors: list[str] = []
        crop = choose("crop", name, CROPS, errors).build(CROPS, paths, (8, 6))
        assert arrays.cached(paths, (8, 6), "bilinear", folder, 1, crop) is not None, name  # a trial finds it
    listed = run("cache").output
    assert len(listed.splitlines()) == 6
    for piece in (
        " crop ",
        " center 0.625x0.666667  ",
        " face 0.3, else 0.625x0.666667  ",
        "\nfaces         98 ",
    ):
        assert piece in listed, listed
    assert run("cache", "--remove", "--size", "8x6").output.endswith("3 arrays removed, 0.0 MiB\n")
    assert run("cache", "--remove", data).output.endswith("1 array removed, 0.0 MiB\n")
    assert [path.name for path in folder.iterdir()] == ["builder.lock"]


def test_cache_refuses_in_one_line(run, data, folder, tmp_path):
    for words, piece in (
        ((data,), "--size"), (("--size", "8x6"), "give both"), ((data, "--size", "8"), "height x width"), ((data, "--size", "0x8"), "height x width"),
        ((data, "--size", "8x6", "--interpolation", "magic"), "unknown interpolation"), ((data, "--size", "8x6", "--crop", "fase"), "unknown crop 'fase'"),
        (("--crop", "face"), "--crop goes with a data set and --size"),
        ((tmp_path / "nowhere", "--size", "8x6"), "no folder"), (("--remove", "--size", "x"), "height x width"),
        ((data, "--size", "8x6", "--limit", 0.000001), "--limit 1)"),
        ((data, "--size", "8x6", "--limit", 0), "--limit 0: give a number of GiB above 0"),
        ((data, "--size", "8x6", "--limit", -1), "--limit -1: give"), ((data, "--size", "8x6", "--limit", "nan"), "--limit nan: give"),
        ((data, "--size", "8x6", "--limit", "inf"), "--limit inf: give"),
        (("--older-than", 1), "--older-than goes with --remove"), ((data, "--size", "8x6", "--older-than", 1), "with --remove"),
        (("--limit", 5), "--limit goes with a data set and --size"), (("--interpolation", "area"), "--interpolation goes with"),
        (("--remove", "--limit", 5), "not with --remove"), (("--remove", "--size", "8x6", "--interpolation", "area"), "not with --remove"),
    ):  # fmt: skip
        result = run("cache", *words)
        assert result.exit_code == 2 and piece in result.stderr and len(result.stderr.splitlines()) == 1, (
            words
        )
    assert not folder.exists() or not list(folder.glob("*.npy"))
