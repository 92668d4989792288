import threading
from contextlib import closing

import pytest

from common.threads import AHEAD, CHUNK, in_threads


def test_results_come_in_the_order_of_the_items():
    assert list(in_threads(lambda n: n * n, range(1000))) == [n * n for n in range(1000)]
    assert list(in_threads(str, [])) == []


def test_few_items_are_taken_ahead(monkeypatch):
    monkeypatch.setattr("common.threads.cores", lambda: 2)
    taken = []
    with closing(in_threads(str, (taken.append(n) or n for n in range(100_000)))) as results:
        assert next(results) == "0"
        assert len(taken) <= CHUNK * (2 * AHEAD + 1)


def test_an_error_or_a_caller_that_stops_ends_the_threads():
    begun = []

    def fail(n):
        begun.append(n)
        if n == 3:
            raise OSError("full")
        return n

    before = threading.active_count()
    with pytest.raises(OSError, match="full"):
        list(in_threads(fail, range(100_000)))
    with closing(in_threads(begun.append, range(100_000))) as results:
        next(results)
    assert threading.active_count() == before
    assert len(begun) < 5_000
