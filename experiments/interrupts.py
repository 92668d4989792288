"""Ctrl-C, `kill` and a closed terminal as a word to hear between steps, so that nothing is left half done."""

import signal
import time
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Within `with Interrupts() as interrupts:` a signal only sets `heard`; it is raised at the end."""

    heard: int | None = None

    def __enter__(self) -> "Interrupts":
        self._before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        return self

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.heard = number

    def sleep(self, seconds: float) -> None:
        """Sleep, but no longer than until something is heard."""
        end = time.monotonic() + seconds
        while self.heard is None and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.heard == signal.SIGINT:
            raise KeyboardInterrupt
        if self.heard is not None:
            raise SystemExit(128 + self.heard)
