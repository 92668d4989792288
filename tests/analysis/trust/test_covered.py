"""What a score does not cover."""

import numpy as np

from analysis.trust.covered import coverage_lines, not_covered
from dataset.task import Task

PETS = Task("pets", ("cat", "dog", "parrot"), group="owner", groups="owners")


def test_absent_classes_and_those_of_few_groups_are_named():
    labels = np.array([0] * 12 + [1] * 12)
    groups = np.array([f"{n // 2}" for n in range(12)] + [f"{n // 6}" for n in range(12)])
    found = not_covered(labels, groups, PETS)
    assert found == {"absent": ["parrot"], "few": {"dog": 2}, "counted": "owners"}
    first, second = coverage_lines(found, "validation")
    assert "1 class without a photo in validation" in first and first.endswith("parrot")
    assert second.startswith("not covered: too few owners in validation") and second.endswith("dog (2)")


def test_without_groups_photos_count():
    found = not_covered(np.array([0] * 5 + [1] * 4 + [2] * 9), None, PETS)
    assert found == {"absent": [], "few": {"dog": 4}, "counted": "photos"}
    assert len(coverage_lines(found, "the answers")) == 1
    assert coverage_lines(not_covered(np.arange(3).repeat(5), None, PETS), "the answers") == []
