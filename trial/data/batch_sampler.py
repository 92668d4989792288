"""The order in which an epoch takes the rows of a DataFrame, and in which batches."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from trial.rng import stream

Item = tuple[int, int, int]  # epoch, row, how often this epoch had the row before


class EpochBatchSampler(Sampler):
    """Batches of every row once an epoch, shuffled by seed and epoch (seed None: in order).

    With `probabilities` (rows,), as many rows are drawn with replacement. `done`: epochs that an earlier part
    of the training took. A last batch of one photo joins the batch before it: batch normalisation can't
    take one.
    """

    def __init__(
        self,
        rows: int,
        batch_size: int,
        seed: int | None,
        probabilities: np.ndarray | None = None,
        done: int = 0,
    ):
        self.rows, self.batch_size, self.seed, self.probabilities = rows, batch_size, seed, probabilities
        self.starts = list(range(0, rows, batch_size))
        if len(self.starts) > 1 and rows - self.starts[-1] == 1:
            self.starts.pop()
        # Counted at the first batch of an epoch: torch may make iterators that it never uses.
        self.epoch = done

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[list[Item]]:
        self.epoch += 1
        order = np.arange(self.rows)
        if self.probabilities is not None:
            order = stream("order", self.seed or 0, self.epoch).choice(
                self.rows, self.rows, p=self.probabilities
            )
        elif self.seed is not None:
            stream("order", self.seed, self.epoch).shuffle(order)
        before = np.zeros(self.rows, np.uint32)  # a dict would take a hundred bytes for each photo
        for start, end in zip(self.starts, [*self.starts[1:], self.rows], strict=True):
            items = []
            for row in map(int, order[start:end]):
                items.append((self.epoch, row, int(before[row])))
                before[row] += 1
            yield items
