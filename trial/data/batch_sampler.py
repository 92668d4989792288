"""In which order an epoch takes the rows of a table, and how many at a time."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from trial.rng import stream

Item = tuple[int, int, int]  # epoch, row, how often this epoch had it before


class Shuffled(Sampler):
    """Every row once an epoch in batches, in an order fixed by seed and epoch (or as they lie); with
    `chances` (rows,) as many, each drawn anew by its chance.

    A last batch of one photo joins the one before: batch normalisation can't take it.
    """

    def __init__(self, rows: int, batch_size: int, seed: int | None, chances: np.ndarray | None = None):
        self.rows, self.batch_size, self.seed, self.chances = rows, batch_size, seed, chances
        self.starts = list(range(0, rows, batch_size))
        if len(self.starts) > 1 and rows - self.starts[-1] == 1:
            self.starts.pop()
        self.epoch = 0  # counted as an epoch's first batch is asked for: torch may make iterators in vain

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[list[Item]]:
        self.epoch += 1
        order = np.arange(self.rows)
        if self.chances is not None:
            order = stream("order", self.seed or 0, self.epoch).choice(self.rows, self.rows, p=self.chances)
        elif self.seed is not None:
            stream("order", self.seed, self.epoch).shuffle(order)
        before: Counter[int] = Counter()
        for start, end in zip(self.starts, [*self.starts[1:], self.rows], strict=True):
            items = []
            for row in map(int, order[start:end]):
                items.append((self.epoch, row, before[row]))
                before[row] += 1
            yield items
