"""A training of two threads beside busy loops: how many times as long as alone, against its fair share.

    python -m benchmarks busy [--quick]        (about 8 minutes)

The fair share is measured, not computed: two trainings of one thread each, which never wait for each other,
in the place of the training (their speeds summed). Plain torch is the same network, batch and precision in
two threads with torch's own settings. Each is timed alone, then beside the loops, round by round; its fastest
round alone counts, since other programs may slow down the others. Loops are started in the session of the
trainings, and in others: with autogroups (the default of many a Linux) the cores are shared between sessions
first.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.measure import Row
from common.machine import PROJECT

LOOPS, MODEL, SIZE, BATCH = 6, "resnet10t", (64, 48), 32
SECONDS = 5.0  # of each measurement
LOOP = "import time\nend = time.monotonic() + 120\nwhile time.monotonic() < end: pass"  # none is left behind
SERVE = """
import sys, time
def serve(step):
    step()
    print("ready", flush=True)
    for line in sys.stdin:
        steps, started = 0, time.perf_counter()
        while time.perf_counter() - started < float(line):
            step()
            steps += 1
        print(steps / (time.perf_counter() - started), flush=True)
"""
PLAIN = """
import timm, torch
threads, model, height, width, batch, dtype = sys.argv[1:7]
torch.set_num_threads(int(threads))
network = timm.create_model(model, num_classes=18).to(memory_format=torch.channels_last)
optimizer = torch.optim.AdamW(network.parameters(), fused=True)
photos = torch.randn(int(batch), 3, int(height), int(width)).contiguous(memory_format=torch.channels_last)
labels = torch.arange(int(batch)) % 18
precision = getattr(torch, dtype)
def step():
    optimizer.zero_grad()
    with torch.autocast("cpu", precision, enabled=precision is not torch.float32):
        logits = network(photos)
    torch.nn.functional.cross_entropy(logits.float(), labels).backward()
    optimizer.step()
serve(step)
"""
OURS = """
from benchmarks.busy import our_epochs
epochs = our_epochs(sys.argv[1])
serve(lambda: next(epochs))
"""


def our_epochs(folder: str) -> Iterator:
    """What a trial runs: epochs of four batches."""
    from benchmarks import rivals, training

    table = training.many(rivals.drawn_table(Path(folder), SIZE), 4 * BATCH)
    pixels = training.photos_of(table, SIZE, Path(folder))
    return training.epochs_of(training.recipe(MODEL, SIZE, BATCH, threads=2), table, pixels)


def precision() -> str:
    """The dtype that precision=auto chooses here for this network."""
    from benchmarks.training import recipe
    from dataset.face_masks.labels import FACE_MASK
    from trial import recipe as recipe_parts
    from trial.process.compute import decide

    network, _ = recipe_parts.build(recipe(MODEL, SIZE, BATCH), FACE_MASK)
    return str(decide(network).precision).removeprefix("torch.")


class Trainings:
    """Processes that train when asked to, side by side."""

    def __init__(self, programs: Sequence[tuple[str, Sequence[object]]]):
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))
        }
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-c", SERVE + code, *map(str, words)], cwd=PROJECT, env=environ, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )
            for code, words in programs
        ]  # fmt: skip
        for process in self.processes:
            assert process.stdout and process.stdout.readline() == "ready\n"

    def speed(self) -> float:
        """Steps per second, of all together."""
        for process in self.processes:
            assert process.stdin
            process.stdin.write(f"{SECONDS}\n")
            process.stdin.flush()
        return sum(float(process.stdout.readline()) for process in self.processes if process.stdout)

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@contextmanager
def busy_loops(number: int, own_session: bool) -> Iterator[None]:
    loops = [
        subprocess.Popen([sys.executable, "-c", LOOP], start_new_session=own_session) for _ in range(number)
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def rows(quick: bool = False) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        words = (MODEL, *SIZE, BATCH, precision())
        programs: dict[str, list[tuple[str, Sequence[object]]]] = {
            "ours": [(OURS, [folder])],
            "plain torch": [(PLAIN, [2, *words])],
            "fair share": [(PLAIN, [1, *words])] * 2,
        }
        trainings = {name: Trainings(those) for name, those in programs.items()}
        for those in trainings.values():
            stack.callback(those.end)
        for own_session in (False, True):
            alone: dict[str, list[float]] = {name: [] for name in trainings}
            beside: dict[str, list[float]] = {name: [] for name in trainings}
            for _ in range(1 if quick else 5):
                for name, those in trainings.items():
                    alone[name].append(those.speed())
                    with busy_loops(LOOPS, own_session):
                        beside[name].append(those.speed())
            slowdown = {name: [max(alone[name]) / speed for speed in beside[name]] for name in trainings}
            where = "sessions of their own" if own_session else "the same session"
            row = partial(Row, f"beside {LOOPS} busy loops in {where}", "times", slowdown)
            yield row("ours", "fair share")
            yield row("plain torch", "fair share")
            yield row("ours", "plain torch")
