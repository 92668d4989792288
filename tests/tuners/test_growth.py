"""What a search keeps of each trial: little, since it may have thousands."""

import tracemalloc

import psutil
import pytest

pytest.importorskip("nni")
from tests.tuners.searching import search

FEW, MORE = 30, 100


@pytest.mark.slow
def test_a_trial_costs_kilobytes_and_no_open_file(fake):
    made = search(sampler="random")

    def play(numbers) -> tuple[int, int]:
        for number in numbers:
            made.receive_trial_result(number, made.generate_parameters(number), number / 1000)
        return tracemalloc.get_traced_memory()[0], psutil.Process().num_fds()

    tracemalloc.start()
    try:
        before, files = play(range(FEW))
        after, files_after = play(range(FEW, MORE))
    finally:
        tracemalloc.stop()
    assert (after - before) / (MORE - FEW) < 10_000
    assert files_after <= files  # those of other tests may be collected in the meantime
