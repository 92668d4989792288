"""scikit-learn's digits as a data set in folders per class."""

import pytest

from common.errors import UsageError
from dataset.digits import TRAIN, write_digits
from dataset.read import format_of, read_eval, read_train


def test_it_is_a_set_of_ten_classes_with_known_answers(tmp_path):
    out = write_digits(tmp_path / "digits")
    task, table = read_train(out)
    assert format_of(out) == "one folder per class"
    assert task.classes == tuple("0123456789") and task.group == "photo" and not task.rare
    assert len(table) == TRAIN
    answers = read_eval(out)
    assert len(answers) == 1797 - TRAIN and set(answers["class"]) == set(task.classes)


def test_an_existing_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match="already exists"):
        write_digits(tmp_path.parent)
