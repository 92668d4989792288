"""What README tells people to type."""

import re
import shlex

import pytest

from common.machine import PROJECT
from trial.arguments import parse_arguments
from trial.config import parse

RECIPES = re.findall(
    r"^    (python -m (?:trial|analysis lr-range) .*=.*)$", (PROJECT / "README.md").read_text(), re.M
)


@pytest.mark.parametrize("line", RECIPES)
def test_recipes_in_readme_are_taken(line):
    words = [word for word in shlex.split(line, comments=True) if "=" in word]
    assert parse(parse_arguments([*words, "weights=none"])).data == "input"


def test_readme_has_recipes():
    assert len(RECIPES) >= 3
