"""Work of threads on many items, in memory that does not grow with their number."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from common.machine import cores

T = TypeVar("T")
R = TypeVar("R")
CHUNK, AHEAD = 16, 4  # items that a thread takes at once; chunks per thread that wait for one


def in_threads(function: Callable[[T], R], items: Iterable[T]) -> Generator[R, None, None]:
    """`function` of each item, in order, by one thread per core.

    `Executor.map` makes a future of every item before the first result, some 1,300 bytes each. The first
    error, or a caller that closes the iterator, cancels what was not begun and waits for the rest.
    """
    items, threads = iter(items), cores()
    pool = ThreadPoolExecutor(threads)
    coming: deque[Future[list[R]]] = deque()
    try:
        while chunk := list(islice(items, CHUNK)):
            coming.append(pool.submit(_each, function, chunk))
            if len(coming) > AHEAD * threads:
                yield from coming.popleft().result()
        while coming:
            yield from coming.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _each(function: Callable[[T], R], chunk: list[T]) -> list[R]:
    return list(map(function, chunk))
