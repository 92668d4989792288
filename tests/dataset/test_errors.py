import pickle
import subprocess
import sys

import pytest

from dataset.errors import CallersMistake, exit_on_mistake


def test_says_every_fault_a_line_each():
    mistake = CallersMistake(["one", "two"])
    assert str(mistake) == "one\ntwo"
    assert CallersMistake("one").faults == ["one"]
    assert pickle.loads(pickle.dumps(mistake)).faults == ["one", "two"]


def test_a_command_ends_with_2_and_a_message(capsys):
    @exit_on_mistake()
    def command():
        raise CallersMistake(f"fault {number}" for number in range(150))

    with pytest.raises(SystemExit) as ended:
        command()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "fault 99" in said and "fault 100" not in said and "50 more" in said


def test_ctrl_c_ends_with_130(capsys):
    with pytest.raises(SystemExit) as ended, exit_on_mistake():
        raise KeyboardInterrupt
    assert ended.value.code == 130


def test_names_and_errors_import_nothing_heavy():
    heavy = "{'numpy', 'pandas', 'cv2', 'torch'}"
    code = f"import sys, dataset.labels, dataset.errors; print({heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
