import numpy as np
import pytest

from common.machine import PROJECT
from common.text import bytes_text, counted, fixed_text, lines_text, number_text, path_text, value_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00031622776601683794, "0.0003162"), (1e-5, "1e-05"), (12.345678901234567, "12.35"), (2.0, "2"),
        (0.0, "0"), (-0.123456789, "-0.1235"), (123456.789, "123456.789"), (999.99, "1000"),
    ],
)  # fmt: skip
def test_no_more_digits_than_anybody_reads(value, text):
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0.73449, 3, "0.734"), (0.0, 3, "0.000"), (1.0, 3, "1.000"), (-0.00051, 3, "-0.001"),
        (-0.00012345, 3, "-0.000123"), (0.0004, 4, "0.0004"), (3.2149e-5, 4, "3.21e-05"),
        (float("nan"), 3, "nan"),
    ],
)  # fmt: skip
def test_a_loss_near_zero_is_not_shown_as_zero(value, decimals, text):
    assert fixed_text(value, decimals) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0.0 MiB"), (2**20, "1.0 MiB"), (1000 * 2**20, "1000.0 MiB"), (3 * 2**29, "1.5 GiB")],
)
def test_bytes_are_in_mib_or_gib(size, text):
    assert bytes_text(size) == text


def test_a_path_is_relative_to_the_working_directory_if_it_lies_below_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert path_text(tmp_path / "out" / "cache") == "out/cache"
    assert path_text(str(PROJECT / "out")) == str(PROJECT / "out")
    assert path_text("?") == "?"


@pytest.mark.parametrize(
    ("lines", "text"),
    [([2], "line 2"), ([2, 5], "lines 2, 5"), (range(2, 14), "lines 2, 3, 4, ... (12 in all)")],
)
def test_lines_are_counted_when_there_are_many(lines, text):
    assert lines_text(lines) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1234567, "0.1235"), (3, "3"), (True, "yes"), (np.False_, "no"), ("False", "False"),
        ("64x48", "64x48"), ([3, 0.5], "3, 0.5"), ((), "none"),
        ({"p": 0.5, "sizes": (1, 2)}, "p 0.5, sizes 1, 2"), (None, "–"), (float("nan"), "–"), ("", "–"),
    ],
)  # fmt: skip
def test_a_value_of_a_recipe_is_written_in_one_way(value, text):
    assert value_text(value) == text
    assert value_text(value, missing="") == text.replace("–", "")


def test_one_is_said_in_the_singular():
    assert [counted(number, "earlier trial") for number in (0, 1, 2000)] == [
        "0 earlier trials", "1 earlier trial", "2,000 earlier trials"
    ]  # fmt: skip
