"""Progress over anything that takes some seconds: a bar in a terminal, now and then a line in a log."""

import sys
import time
from collections.abc import Iterator, Sized
from typing import Any

SECONDS = 10  # between two lines in a log; what ends before the first says nothing


class track:
    """Iterates over `things` (as often as wanted) and shows on stderr how far it is. `unit`: what is counted,
    if the label doesn't say; `label` may be changed between two iterations."""

    def __init__(self, things: Any, label: str, unit: str = ""):
        self.things, self.label, self.unit = things, label, unit

    def __len__(self) -> int:
        return len(self.things)

    def __iter__(self) -> Iterator[Any]:
        total = len(self.things) if isinstance(self.things, Sized) else None
        if not sys.stderr.isatty():
            yield from self._in_a_log(total)
            return
        from rich.console import Console
        from rich.progress import track as bar

        label = f"{self.label} ({self.unit})" if self.unit else self.label
        yield from bar(self.things, label, total, console=Console(stderr=True), transient=True)

    def _in_a_log(self, total: int | None) -> Iterator[Any]:
        of = ("" if total is None else f" of {total}") + (self.unit and f" {self.unit}")
        started = said = time.monotonic()
        for done, thing in enumerate(self.things):
            if (now := time.monotonic()) - said >= SECONDS:
                said = now
                print(f"{self.label}: {done}{of}", file=sys.stderr, flush=True)
            yield thing
        if said != started:
            print(f"{self.label}: done in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
