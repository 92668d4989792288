from pathlib import Path

import pytest

from benchmarks.search.live import KINDS, METHODS, text, write_experiment
from experiments.check import check


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_search_that_is_compared_passes_the_check(
    kind: str, method: str, people: Path, tmp_path: Path
) -> None:
    path = write_experiment(kind, method, 3, 2, people, tmp_path)
    plan = check(path)
    assert plan.config["maxExperimentDuration"] == "120s"
    assert plan.config["tuner"]["classArgs"]["seed"] == 3
    assert "seed=3" in plan.fixed and f"data={people}" in plan.fixed


def test_differences_are_paired_over_the_seeds() -> None:
    def result(score: float) -> dict[str, float]:
        return {"trials": 10, "finished": 8, "validation": 0.5, "new_people": score}

    said = text(
        {"ours": [result(0.3), result(0.5), result(0.4)], "before": [result(0.2), result(0.4), result(0.4)]}
    )
    assert "ours: macro-F1 on new people 0.400 (0.300, 0.500, 0.400)" in said
    assert "ours - before: +0.067 +- 0.033" in said
