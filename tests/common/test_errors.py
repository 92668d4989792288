import pickle
import subprocess
import sys

import pytest

from common.errors import UsageError, exit_on_usage_error


def test_every_error_has_a_line():
    error = UsageError(["one", "two"])
    assert str(error) == "one\ntwo"
    assert UsageError("one").errors == ["one"]
    assert pickle.loads(pickle.dumps(error)).errors == ["one", "two"]


def test_a_command_ends_with_2_and_a_message(capsys):
    @exit_on_usage_error()
    def command():
        raise UsageError(f"error {number}" for number in range(150))

    with pytest.raises(SystemExit) as ended:
        command()
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert "error 99" in err and "error 100" not in err and "50 more" in err


def test_ctrl_c_ends_with_130(capsys):
    with pytest.raises(SystemExit) as ended, exit_on_usage_error():
        raise KeyboardInterrupt
    assert ended.value.code == 130


def test_names_and_errors_import_nothing_heavy():
    heavy = "{'numpy', 'pandas', 'cv2', 'torch'}"
    code = f"import sys, dataset.face_masks.labels, common.errors; print({heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
