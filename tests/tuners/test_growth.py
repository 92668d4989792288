"""What a search keeps of each trial: little, since it may have thousands."""

import tracemalloc

import psutil
import pytest

pytest.importorskip("nni")
from tuners.search import Search

SPACE = {
    "model": {"_type": "choice", "_value": ["a", "b", "c"]},
    "lr": {"_type": "loguniform", "_value": [0.0001, 0.01]},
}
FEW, MORE = 30, 100


def test_a_trial_costs_kilobytes_and_no_open_file(fake):
    search = Search(sampler="random")
    search.update_search_space(SPACE)

    def play(numbers) -> tuple[int, int]:
        for number in numbers:
            search.receive_trial_result(number, search.generate_parameters(number), number / 1000)
        return tracemalloc.get_traced_memory()[0], psutil.Process().num_fds()

    tracemalloc.start()
    try:
        before, files = play(range(FEW))
        after, files_after = play(range(FEW, MORE))
    finally:
        tracemalloc.stop()
    assert (after - before) / (MORE - FEW) < 10_000
    assert files_after <= files  # those of other tests may be collected in the meantime
