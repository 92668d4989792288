from pathlib import Path

import pytest

from dataset.corrections import read_corrections
from dataset.errors import CallersMistake
from dataset.photos import read_train


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(("id,field,recorded,corrected", *lines)) + "\n")
    return path


def test_corrections_change_labels_and_are_counted_aloud(data, tmp_path, capsys):
    csv = write(
        tmp_path / "known.csv",
        "000001,gender,male,female",
        "000002,mask,normal,incorrect_mask",
        "000002,mask,incorrect_mask,normal",
        "000003,gender,female,male",
        "999999,gender,male,female",
    )
    before, after = read_train(data), read_train(data, csv)
    assert after.attrs["corrections"] == 3
    assert "3 applied" in capsys.readouterr().err
    changed = before[(before["label"] != after["label"])]
    assert set(changed["person"]) == {"000001", "000002"}
    assert (after[after["person"] == "000001"]["gender"] == 1).all()
    second = after[after["person"] == "000002"].set_index("photo")["mask"]
    assert {Path(photo).stem: mask for photo, mask in second.items() if mask} == {
        "normal": 1,
        "incorrect_mask": 2,
    }


def test_without_the_option_nothing_is_corrected(data):
    assert read_train(data).attrs["corrections"] == 0


def test_the_shipped_file_holds_the_known_errors():
    table = read_corrections("competition")
    assert len(table) == 10 + 3 * 2
    assert set(table[table["corrected"] == "female"]["id"]) == {"001498-1", "004432", "005223"}


def test_faults_of_a_corrections_file_are_named_at_once(tmp_path):
    csv = write(tmp_path / "bad.csv", "000001,sex,male,female", "000002,gender,man,female")
    with pytest.raises(CallersMistake) as caught:
        read_corrections(csv)
    assert "unknown field 'sex'" in str(caught.value) and "unknown gender 'man'" in str(caught.value)
    with pytest.raises(CallersMistake, match="did you mean competition"):
        read_corrections("competitoin")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CallersMistake, match="columns must be"):
        read_corrections(tmp_path / "other.csv")
