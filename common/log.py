"""What libraries tell a person goes through `logging`; commands show it: what
`logging.getLogger(__name__)` has on stderr, results, which `output_of(__name__)` has, on stdout."""

import logging
import sys

PACKAGES = ("common", "dataset", "trial", "analysis", "experiments")
OUTPUT = "output"  # the logger above those of `output_of`


class _Handler(logging.Handler):
    """Writes messages to `sys.stdout` or `sys.stderr` as it is at that moment: it may have been redirected
    meanwhile."""

    def __init__(self, stream: str):
        super().__init__(logging.INFO)
        self.stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=getattr(sys, self.stream), flush=True)


_stdout, _stderr = _Handler("stdout"), _Handler("stderr")


def output_of(module: str) -> logging.Logger:
    """The logger for results that a command prints: `output_of(__name__).info(...)`."""
    return logging.getLogger(f"{OUTPUT}.{module}")


def show_logs() -> None:
    """Show INFO and above of the project's packages, the message only: logs on stderr, output on stdout.

    Every command does so at its start (`exit_on_usage_error` calls it). Calling it again changes nothing.
    A program that imports the packages and never calls it gets their logs through its own handlers.
    """
    for name in (*PACKAGES, OUTPUT):
        logger = logging.getLogger(name)
        logger.addHandler(_stdout if name == OUTPUT else _stderr)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
    logging.getLogger(OUTPUT).propagate = False  # a handler of the root logger would show it again
