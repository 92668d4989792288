import pytest

from common.text import value_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1234567, "0.1235"), (3, "3"), (True, "yes"), ("64x48", "64x48"), ([3, 0.5], "3, 0.5"), ((), "none"),
        ({"p": 0.5, "sizes": (1, 2)}, "p 0.5, sizes 1, 2"), (None, "–"), (float("nan"), "–"), ("", "–"),
    ],
)  # fmt: skip
def test_a_value_of_a_recipe_is_written_in_one_way(value, text):
    assert value_text(value) == text
    assert value_text(value, missing="") == text.replace("–", "")
