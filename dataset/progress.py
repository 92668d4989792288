"""Progress over anything that takes some seconds: a bar in a terminal, nothing in a log."""

import sys
from collections.abc import Iterator, Sized
from typing import Any


class track:
    """Iterates over `things` (with a length, as often as wanted), drawing a bar on stderr in a terminal."""

    def __init__(self, things: Any, label: str):
        self.things, self.label = things, label

    def __len__(self) -> int:
        return len(self.things)

    def __iter__(self) -> Iterator[Any]:
        if not sys.stderr.isatty():
            yield from self.things
            return
        from rich.console import Console
        from rich.progress import track as bar

        total = len(self.things) if isinstance(self.things, Sized) else None
        yield from bar(self.things, self.label, total, console=Console(stderr=True), transient=True)
