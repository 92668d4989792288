"""Progress of anything that takes seconds: a bar on a terminal, a line every ten seconds in a log file."""

import sys
import time
from collections.abc import Iterator, Sized
from typing import Any

SECONDS = 10  # between two lines in a log; nothing is printed for a loop that is shorter


class track:
    """Iterate over `items` and show the progress on stderr. It can be iterated several times.

    `unit` names what is counted, if the label does not; `label` may be changed between two iterations.
    """

    def __init__(self, items: Any, label: str, unit: str = ""):
        self.items, self.label, self.unit = items, label, unit

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Any]:
        total = len(self.items) if isinstance(self.items, Sized) else None
        if not sys.stderr.isatty():
            yield from self._lines(total)
            return
        from rich.console import Console
        from rich.progress import track as bar

        label = f"{self.label} ({self.unit})" if self.unit else self.label
        yield from bar(self.items, label, total, console=Console(stderr=True), transient=True)

    def _lines(self, total: int | None) -> Iterator[Any]:
        of_total = ("" if total is None else f" of {total}") + (self.unit and f" {self.unit}")
        start = last_line = time.monotonic()
        for done, item in enumerate(self.items):
            if (now := time.monotonic()) - last_line >= SECONDS:
                last_line = now
                print(f"{self.label}: {done}{of_total}", file=sys.stderr, flush=True)
            yield item
        if last_line != start:
            print(f"{self.label}: done in {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
