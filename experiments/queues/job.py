"""A trial as a job of a queue: what it asks for, and what is the same for every kind of queue."""

import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from trial.process.signals import STOPPED

RESULT_SECONDS = 10.0  # in which the result of an ended job must be seen here
LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Queue:
    """Where jobs run and what each asks for: what queue.yaml says.

    `executor`: the kind of queue. `minutes`: after them the queue ends a job. `memory`: in GB. `options`:
    what else this kind of queue can be asked for. `address`: of a Ray cluster.
    """

    executor: str
    minutes: int | None = None
    partition: str | None = None
    gpus: int = 0
    cpus: int = 1
    memory: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    address: str | None = None


class Job(ABC):
    """A job in a queue, which may run on another machine; both share a disk.

    `stdout` and `stderr` are the job's log, `result` is the file that it leaves if it ends by itself.
    """

    keys: ClassVar[frozenset[str]]  # of queue.yaml, that not all kinds of queues have
    needed: ClassVar[tuple[str, ...]] = ()  # keys that must be given
    ask_seconds: ClassVar[float]  # between two questions to the queue

    def __init__(self, id: str, stdout: Path, stderr: Path, result: Path):
        self.id, self.stdout, self.stderr, self.result = id, stdout, stderr, result
        self._gone, self._asked = False, time.monotonic()

    @classmethod
    @abstractmethod
    def submit(
        cls, queue: Queue, folder: Path, name: str, command: Sequence[str], environ: Mapping[str, str]
    ) -> Self:
        """Submit `command`, to be run with these further environment variables. The job's files lie in
        `folder`, its `name` is shown in the queue. UsageError if the queue does not take it."""

    @classmethod
    @abstractmethod
    def left(cls, queue: Queue, folder: Path, id: str) -> Self:
        """The job that another process has submitted."""

    @abstractmethod
    def cancel(self) -> None:
        """Let it end soon, by SIGTERM first; one that still waits never begins."""

    @abstractmethod
    def _is_there(self) -> bool:
        """Whether the queue still has it, waiting or running; also if the queue gives no answer."""

    @abstractmethod
    def _result(self) -> int:
        """The exit code that `result` says."""

    def _why(self) -> str:
        """Why the queue has ended it; '' if that is not known."""
        return ""

    def has_ended(self, ask: bool = False) -> bool:
        """Whether it has ended: by its result, or since the queue no longer has it. The queue is asked now,
        or if `ask_seconds` have passed."""
        os.utime(self.result.parent)  # else NFS may take a minute to notice a new file
        if self.result.exists():
            return True
        if not self._gone and (ask or time.monotonic() - self._asked >= self.ask_seconds):
            self._gone = not self._is_there()
            self._asked = time.monotonic()
        return self._gone

    def exit_code(self) -> int:
        """Of a job that has ended: the trial's; STOPPED, as by a signal, if the queue ended the job."""
        until = time.monotonic() + RESULT_SECONDS
        while not self.result.exists() and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
            os.utime(self.result.parent)
        if self.result.exists():
            return self._result()
        why = self._why()
        print(f"job {self.id} was ended by the queue{why and f': {why}'}", file=sys.stderr)
        return STOPPED

    @staticmethod
    @abstractmethod
    def errors(queue: Queue) -> list[str]:
        """Why the queue would not take such jobs, asked before a search."""

    @staticmethod
    @abstractmethod
    def option_errors(options: Mapping[str, Any]) -> list[str]:
        """Errors in queue.yaml's `options`."""
