"""Two threads of a training, each with cores of its own.

Beside other programs the kernel often puts both threads of torch on the same core. Where they wait for each
other asleep that is only slower. But for the gradients of convolutions in bfloat16 oneDNN's threads spin
while they wait: one uses up its time on the core while the other, for which it waits, waits for that core.
Results do not depend on where threads run.
"""

import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

# Nanoseconds that a thread asks for at a time: the shorter, the sooner it runs once it is woken.
SLICE = 100_000
SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # its number as a system call; the C library has no function


@dataclass(frozen=True)
class Apart:
    """`own`: the cores of the thread that trains; its partner has the rest of `every`."""

    own: frozenset[int]
    every: frozenset[int]

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Keep this thread on its own cores, but no thread or process that it starts before or after."""
        _run_on(self.own)
        try:
            yield
        finally:
            _run_on(self.every)


def keep_apart(threads: int) -> Apart | None:
    """Give the partner of this thread in torch's pool every second core, and both short time slices.

    Return None, and change nothing, on one core, without Linux and torch's own libgomp, or with another
    number of threads than two: libgomp ends threads of larger pools and starts others, which would be on the
    cores of the thread that starts them.
    """
    if threads != 2 or sys.platform != "linux":
        return None
    every = sorted(os.sched_getaffinity(0))
    try:
        gomp = ctypes.CDLL("libgomp.so.1", mode=os.RTLD_NOLOAD)  # the one that torch has loaded
    except OSError:
        return None
    if len(every) < 2:
        return None

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    def place(_: None) -> None:
        _ask_for_short_slices()
        if gomp.omp_get_thread_num():
            _run_on(frozenset(every[1::2]))

    gomp.GOMP_parallel(place, None, threads, 0)
    return Apart(frozenset(every[::2]), frozenset(every))


def _run_on(cores: frozenset[int]) -> None:
    with contextlib.suppress(OSError):  # taken away from this process meanwhile
        os.sched_setaffinity(0, cores)


def _ask_for_short_slices() -> None:
    """For the calling thread. Linux before 6.12 ignores it, as a process with another policy does."""
    number = SCHED_SETATTR.get(os.uname().machine)
    if number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return
    # struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period.
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = struct.pack("=IIQiIQQQ", 48, os.SCHED_OTHER, 0, nice, 0, SLICE, 0, 0)
    ctypes.CDLL(None).syscall(number, 0, attributes, 0)
