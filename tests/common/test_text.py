import pytest

from common.text import number_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00031622776601683794, "0.0003162"), (1e-5, "1e-05"), (12.345678901234567, "12.35"), (2.0, "2"),
        (0.0, "0"), (-0.123456789, "-0.1235"), (123456.789, "123456.789"), (999.99, "1000"),
    ],
)  # fmt: skip
def test_no_more_digits_than_anybody_reads(value, text):
    assert number_text(value) == text
