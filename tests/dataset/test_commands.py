import pytest
from typer.testing import CliRunner

from dataset import check as checking
from dataset.__main__ import app
from dataset.errors import CallersMistake


@pytest.fixture
def run():
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_draw_then_check(run, tmp_path):
    small = ("--people", 12, "--eval-people", 6, "--folds", 2, "--height", 64, "--width", 48)
    drawn = run("synthetic", "--out", tmp_path / "set", *small)
    assert drawn.exit_code == 0, drawn.output
    said = run("check", tmp_path / "set", "--folds", 2)
    assert said.exit_code == 0, said.output
    assert "12 people, 84 photos; eval: 42 photos" in said.output and "no faults" in said.output
    again = run("synthetic", "--out", tmp_path / "set", *small)
    assert again.exit_code == 2 and "there already" in again.stderr


def test_check_names_faults_of_both_halves_and_photos(run, data, rewrite):
    photo = next((data / "train" / "images" / "000003_male_Asian_30").glob("mask2.*"))
    photo.write_text("no photo")
    (data / "eval" / "images" / "aaaaaaaa.jpg").write_bytes(b"")
    (data / "eval" / "images" / "bbbbbbbb.jpg").unlink()
    rewrite("train/train.csv", "000001,male", "000001,mael")
    said = run("check", data, "--corrections", "competitoin")
    assert said.exit_code == 2 and "Traceback" not in said.output
    lines = said.stderr.splitlines()
    assert len(lines) == 5, lines
    for piece in (
        str(photo),
        "aaaaaaaa.jpg",
        "bbbbbbbb.jpg",
        "unknown gender 'mael'",
        "did you mean competition",
    ):
        assert piece in said.stderr


def test_check_says_which_side_lacks_a_class(run, data):
    said = run("check", data)
    assert said.exit_code == 0
    assert "validation: nobody of" in said.output


def test_a_set_without_eval_half_by_option(data):
    for path in (data / "eval" / "images").iterdir():
        path.unlink()
    with pytest.raises(CallersMistake):
        checking.check(data)
    train, judged = checking.check(data, with_eval=False)
    assert (len(train), len(judged)) == (98, 0)


@pytest.mark.parametrize("command", ["synthetic", "check"])
def test_help_shows_an_example(run, command):
    said = run(command, "--help")
    assert said.exit_code == 0 and f"Example: python -m dataset {command}" in said.output


def test_a_wrong_path_is_one_clear_line(run, tmp_path):
    said = run("check", tmp_path / "nowhere")
    assert said.exit_code == 2 and said.stderr.startswith("no folder ") and len(said.stderr.splitlines()) == 1
