"""Progress over anything that takes some seconds: a bar in a terminal, now and then a line in a log."""

import sys
import time
from collections.abc import Iterator, Sized
from typing import Any

SECONDS = 10  # between two lines in a log; what ends before the first says nothing


class track:
    """Iterates over `things` (as often as wanted) and shows on stderr how far it is."""

    def __init__(self, things: Any, label: str):
        self.things, self.label = things, label

    def __len__(self) -> int:
        return len(self.things)

    def __iter__(self) -> Iterator[Any]:
        total = len(self.things) if isinstance(self.things, Sized) else None
        if not sys.stderr.isatty():
            yield from self._in_a_log(total)
            return
        from rich.console import Console
        from rich.progress import track as bar

        yield from bar(self.things, self.label, total, console=Console(stderr=True), transient=True)

    def _in_a_log(self, total: int | None) -> Iterator[Any]:
        of = "" if total is None else f" of {total}"
        started = said = time.monotonic()
        for done, thing in enumerate(self.things):
            if (now := time.monotonic()) - said >= SECONDS:
                said = now
                print(f"{self.label}: {done}{of}", file=sys.stderr, flush=True)
            yield thing
        if said != started:
            print(f"{self.label}: done in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
