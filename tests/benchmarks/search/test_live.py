from pathlib import Path

import pytest

from benchmarks.search.live import KINDS, METHODS, search, text, write_experiment
from common.errors import UsageError
from experiments.check import check


@pytest.mark.slow
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


def test_when_one_search_cannot_start_those_that_run_are_ended(tmp_path: Path, monkeypatch) -> None:
    processes = []

    class Process:
        def __init__(self, *words, **options):
            if processes:
                raise OSError("no more processes")
            processes.append(self)
            self.ended = False

        def poll(self):
            return 0 if self.ended else None

        def terminate(self):
            self.ended = True

        def wait(self):
            return 0

    monkeypatch.setattr("benchmarks.search.live.subprocess.Popen", Process)
    with pytest.raises(OSError, match="no more"):
        search("table", ["ours", "before"], 0, 1, tmp_path, tmp_path)
    assert [process.ended for process in processes] == [True]


def test_searches_that_did_not_end_are_all_named_before_one_starts(tmp_path: Path) -> None:
    for name in ("before-0", "random-0"):
        (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match=r"before-0: .*\n.*random-0: holds a search that did not end"):
        search("table", ["ours", "before", "random"], 0, 1, tmp_path, tmp_path)
    assert not (tmp_path / "ours-0").exists()
