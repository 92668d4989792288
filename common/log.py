"""Log lines on a terminal: libraries log with `logging.getLogger(__name__)`, commands show it on stderr."""

import logging
import sys

PACKAGES = ("common", "dataset", "trial", "analysis", "experiments")


class _StderrHandler(logging.Handler):
    """Writes messages to `sys.stderr` as it is at that moment: it may have been redirected meanwhile."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)


_handler = _StderrHandler(logging.INFO)


def show_logs() -> None:
    """Show INFO and above of the project's packages on stderr, the message only.

    Every command does so at its start (`exit_on_usage_error` calls it). Calling it again changes nothing.
    A program that imports the packages and never calls it gets their logs through its own handlers.
    """
    for package in PACKAGES:
        logger = logging.getLogger(package)
        logger.addHandler(_handler)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
