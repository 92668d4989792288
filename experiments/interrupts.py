"""Turn Ctrl-C, `kill` and a closed terminal into a flag, so that no step is left half done."""

import signal
import time
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Within `with Interrupts() as interrupts:` a signal only sets `received`; it takes effect at the end."""

    received: int | None = None

    def __enter__(self) -> "Interrupts":
        self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        return self

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = number

    def sleep(self, seconds: float) -> None:
        """Sleep, at most until a signal is received."""
        end = time.monotonic() + seconds
        while self.received is None and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received is not None:
            raise SystemExit(128 + self.received)
