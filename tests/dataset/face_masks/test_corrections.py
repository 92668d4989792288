from pathlib import Path

import pandas as pd
import pytest

from common.errors import UsageError
from common.files import write_sheet
from dataset.check import check
from dataset.face_masks.corrections import COLUMNS, entries_of, read_corrections
from dataset.face_masks.labels import encode
from dataset.read import read_train


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(("id,field,recorded,corrected", *lines)) + "\n")
    return path


def errors_of(look, *given) -> list[str]:
    with pytest.raises(UsageError) as caught:
        look(*given)
    return caught.value.errors


def test_corrections_change_labels_and_are_counted_in_the_log(data, tmp_path, capsys):
    csv = write(
        tmp_path / "known.csv",
        "000001,gender,male,female",
        "000002,mask,normal,incorrect_mask",
        "000002,mask,incorrect_mask,normal",
        "000003,gender,female,male",
        "000005,age,59,60",
        " 000006, age, 60+, 59",
        "000007,age,18,60",
    )
    before, after = read_train(data).table, read_train(data, csv).table
    assert after.attrs["corrections"] == 5
    assert (
        f"label corrections from {csv}: 5 applied, 2 already correct (lines 5, 8)\n"
        in capsys.readouterr().err
    )
    changed = before[(before["label"] != after["label"])]
    assert set(changed["group"]) == {"000001", "000002", "000005", "000006"}
    assert (after[after["group"] == "000001"]["gender"] == 1).all()
    assert set(after[after["group"] == "000005"]["age"]) == {60}
    assert set(after[after["group"] == "000005"]["age_band"]) == {2}
    assert set(after[after["group"] == "000006"]["age_band"]) == {1}
    assert (after["label"] == encode(after["mask"], after["gender"], after["age_band"])).all()
    second = after[after["group"] == "000002"].set_index("photo")["mask"]
    assert {Path(photo).stem: mask for photo, mask in second.items() if mask} == {
        "normal": 1,
        "incorrect_mask": 2,
    }


def test_a_file_of_ones_own_may_have_one_entry_only(data, tmp_path):
    after = read_train(data, write(tmp_path / "known.csv", "000002,mask,normal,incorrect_mask")).table
    assert after.attrs["corrections"] == 1
    assert (after["mask"] == 1).sum() == (read_train(data).table["mask"] == 1).sum() + 1


def test_suggested_values_become_entries_that_are_applied(data, tmp_path):
    table = read_train(data).table
    age = table.drop_duplicates("group").set_index("group")["age"]
    suspects = pd.DataFrame(
        [
            ("gender", "000001", "", "male", "female"),
            ("age_band", "000005", "", "30-59", "<30"),
            ("age_band", "000006", "", "60+", "30-59"),
            ("age_band", "000004", "", "30-59", "60+"),
            ("mask", "000002", "000002_female_Asian_30/mask3.jpg", "wear", "not worn"),
        ],
        columns=["factor", "group", "photo", "recorded", "suggested"],
    )
    entries = entries_of(table, suspects)
    assert entries.values.tolist() == [
        ["000001", "gender", "male", "female"],
        ["000005", "age", str(age["000005"]), "29"],
        ["000006", "age", str(age["000006"]), "59"],
        ["000004", "age", "45", "60"],
        ["000002", "mask", "mask3", "normal"],
    ]
    path = tmp_path / "suggested.csv"
    entries.to_csv(path, index=False)
    assert read_train(data, path).table.attrs["corrections"] == 5


def test_an_id_that_looks_like_a_formula_is_read_back(tmp_path):
    entries = pd.DataFrame([("=1+1", "gender", "male", "female")], columns=COLUMNS)
    path = write_sheet(tmp_path / "corrections.csv", entries)
    assert "'=1+1" in path.read_text()
    assert list(read_corrections(path)["id"]) == ["=1+1"]


def test_entries_that_do_not_fit_are_refused_with_their_lines_and_the_nearest_id(data, tmp_path):
    csv = write(
        tmp_path / "known.csv",
        "1,gender,male,female",
        "",
        "999999,gender,male,female",
        "A00003,age,30,29",
        "000002,gender,female,male",
        "000009,gender,male,female",
        "000004,age,44,29",
        "000008,gender,male,male",
        "000005,age,<30,60",
    )
    assert errors_of(read_train, data, csv) == [
        f"{csv} line 2: no person '1' in this data set; did you mean '000001', with leading zeros?",
        f"{csv} line 4: no person '999999' in this data set",
        f"{csv} line 5: no person 'A00003' in this data set; did you mean '000003'?",
        f"{csv} line 8: the age of 000004 is recorded as 45, not as 44",
        f"{csv} line 9: the gender of 000008 is recorded as female, not as male",
        f"{csv} line 10: the age of 000005 is recorded as 59, not as <30",
    ]
    assert errors_of(check, data, csv) == errors_of(read_train, data, csv)


def test_the_shipped_list_is_applied_to_its_own_set_alone(data, rewrite, capsys):
    before = read_train(data).table
    after = read_train(data, "competition").table
    assert (
        "label corrections from competition: none of its 22 entries matches this data set"
        in capsys.readouterr().err
    )
    assert after.attrs["corrections"] == 0 and (after["label"] == before["label"]).all()
    rewrite("train/train.csv", "\n000002,male", "\n000020,male")  # an id that the list has, by chance
    after = read_train(data, "competition").table
    assert (
        "only 2 of its 22 entries match this data set, so it is for another; 0 applied"
        in capsys.readouterr().err
    )
    assert (after["label"] == before["label"]).all()


def test_a_part_of_the_competitions_photos_is_corrected_too(data, capsys):
    csv = data / "train" / "train.csv"
    header, *people = csv.read_text().splitlines()
    ids = ("001720", "006359", "006360", "006361")  # all recorded as female there
    for number, name in enumerate(ids):
        _, _, *rest = people[number].split(",")
        people[number] = ",".join([name, "female", *rest])
    csv.write_text("\n".join([header, *people]) + "\n")
    after = read_train(data, "competition").table.drop_duplicates("group").set_index("group")
    assert "4 applied, 18 not in this data set" in capsys.readouterr().err
    assert (after.loc[list(ids), "gender"] == 0).all()


def test_the_shipped_list_corrects_the_competitions_labels(data, capsys):
    """The data set has thirteen people of the list, with the recorded values it gives."""
    lines, csv = ["id,gender,race,age,path"], data / "train" / "train.csv"
    entries = read_corrections("competition").drop_duplicates("id").head(13)
    people = csv.read_text().splitlines()[1:]
    for line, entry in zip(people, entries.itertuples(), strict=False):
        _, gender, race, age, path = line.split(",")
        gender = entry.recorded if entry.field == "gender" else gender
        lines.append(f"{entry.id},{gender},{race},{40 if entry.field == 'age' else age},{path}")
    csv.write_text("\n".join([*lines, *people[13:]]) + "\n")
    after = read_train(data, "competition").table.drop_duplicates("group").set_index("group")
    assert "13 applied, 9 not in this data set" in capsys.readouterr().err
    assert (after.loc["001009", "age"], after.loc["001009", "age_band"]) == (29, 0)
    assert after.loc["001720", "gender"] == 0 and after.loc["004432", "gender"] == 1


def test_without_the_option_nothing_is_corrected(data):
    assert read_train(data).table.attrs["corrections"] == 0


def test_the_shipped_file_holds_the_known_errors():
    table = read_corrections("competition")
    assert len(table) == 10 + 6 + 3 * 2
    assert set(table[table["corrected"] == "female"]["id"]) == {"001498-1", "004432", "005223"}
    assert set(table[table["corrected"] == "29"]["id"]) == {"001009", "001064", "001637", "001666", "001852"}
    assert table[table["corrected"] == "60"]["id"].tolist() == ["004348"]


def test_errors_of_a_corrections_file_are_named_at_once(tmp_path):
    csv = write(
        tmp_path / "bad.csv",
        "000001,sex,male,female",
        "000002,gender,man,female",
        "000003,age,30 to 59,200",
        "000004,age,30,29",
        "000004,age,31,28",
    )
    assert errors_of(read_corrections, csv) == [
        f"{csv} line 2: unknown field 'sex'; known: gender, mask, age",
        f"{csv} line 3: unknown gender 'man'; known: male, female",
        f"{csv} line 4: recorded age '30 to 59' is not an integer from 1 to 120 or one of <30, 30-59, 60+",
        f"{csv} line 4: corrected age '200' is not an integer from 1 to 120",
        f"{csv} line 6: corrects the same value as line 5; keep one of them",
    ]
    with pytest.raises(UsageError, match="did you mean competition"):
        read_corrections("competitoin")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    assert "no column 'id'; it has a,b" in errors_of(read_corrections, tmp_path / "other.csv")[0]
    assert "contains no corrections" in errors_of(read_corrections, write(tmp_path / "none.csv"))[0]


@pytest.mark.shared
def test_the_shipped_list_leaves_the_stand_in_alone(standin, capsys):
    """Some of its people have ids of the list, and one of them the gender that the list corrects."""
    before, after = read_train(standin).table, read_train(standin, "competition").table
    assert (before["label"] == after["label"]).all()
    assert "0 applied" in capsys.readouterr().err
