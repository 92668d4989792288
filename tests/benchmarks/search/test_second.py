"""The replay of a second experiment with another space."""

import json

import numpy as np

from benchmarks.search import table
from benchmarks.search.recorded import RecordedSearch
from benchmarks.search.second import ONLY_FIRST, ONLY_SECOND, halves, run_folders
from benchmarks.search.simulate import play
from tuners.earlier import read_earlier
from tuners.search import PauseAndGoOn
from tuners.spaces.space import Space


def test_the_experiments_share_a_part_of_their_spaces_and_only_the_default():
    whole = table.read().curves(0)
    first, second = halves(whole, 3)
    names = [{one["_name"] for one in half.space["model"]["_value"]} for half in (first, second)]
    assert names[0] - names[1] == {ONLY_FIRST} and names[1] - names[0] == {ONLY_SECOND}
    assert [point for point in first.points if point in second.points] == [whole.points[whole.default]]
    for half in (first, second):
        assert half.points[half.default] == whole.points[whole.default]
        for point in half.points:
            Space(half.space).params(point)
    np.testing.assert_array_equal(first.scores[first.default], whole.others[whole.default])
    np.testing.assert_array_equal(second.scores[second.default], whole.scores[whole.default])


def test_its_run_folders_are_read_by_warm_start(tmp_path):
    first, second = halves(table.read().curves(0), 3)
    search = RecordedSearch(seed=3, default=first.points[first.default], trainings=6)
    replay = play(first, search, PauseAndGoOn())
    run_folders(replay, tmp_path)
    states = [json.loads(path.read_text())["state"] for path in tmp_path.glob("trials/*/status.json")]
    assert len(states) == len({trial.recipe for trial in replay.trials})
    assert {"done", "interrupted"} <= set(states)
    _, (note,) = read_earlier([tmp_path], second.space)
    assert "but for one value" in note
