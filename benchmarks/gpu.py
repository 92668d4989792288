"""A GPU's speed: the trial's tests on it, training against two rivals, the baseline's recipe, trials at once.

    benchmarks/gpu.sh [--dry]

Training is what a trial runs (`fit` over cached photos, policy light, precision=auto), in photos per second.
The limit is the same network on random tensors on the device, in the same precision; the plain way a
DataLoader of 12 workers with PIL and torchvision. Ours has its photos on the GPU, if they fit there, and is
also measured without. The minutes of the baseline's recipe are those of decoding 18,900 drawn photos, of its
first epoch, and 19 times its second. Trials at once are processes of their own on one GPU, against the same
ones one after another; also with MPS, where it is installed. Compiled networks: seconds of the first epoch,
which compiles, and of a later one.

The tests come first, and each part has a deadline: a part that takes longer is left, with what it has so far.
Everything goes into out/gpu/gpu.json with the card's name. --dry runs all parts on the CPU, on few and small
photos: its figures mean nothing.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from analysis.recipes import read_recipe
from benchmarks import rivals
from benchmarks.measure import HEADER, Row, Way, in_turn
from benchmarks.training import best, epochs_of, many, photos_of, recipe, speed
from common.image_size import Size, size_text
from common.machine import PROJECT, cores
from dataset.face_masks.labels import FACE_MASK
from experiments.checks.gpu_memory import Memory, free_bytes
from experiments.mps import shared_gpus
from experiments.plan import Plan as Experiment
from trial import recipe as recipe_parts
from trial.process.compute import decide
from trial.run_folder.record import RunFolder

WORKERS = 12  # of the plain way
# Deadlines of the parts, in seconds: together less than eight minutes.
SECONDS = {"tests": 120, "training": 150, "baseline": 80, "at_once": 60, "compiled": 60}
DRY_SECONDS = 600  # of each part on a CPU


class OverTime(BaseException):
    """A part is over its deadline. torch.compile would take an Exception for a failure of its own."""


@contextmanager
def deadline(seconds: int) -> Iterator[None]:
    """OverTime in the block if it takes longer; in the main thread."""

    def over(number: int, frame: object) -> None:
        raise OverTime

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True)
class Plan:
    """What is measured. `cases`: (network, image size, photos of an epoch); `photos`: of the baseline's
    recipe, at `full` size; `tests`: arguments of pytest; `trial`: network and size of those run at once, of
    which there are `at_once`; `compiled`: cases as above; `pixels`: where photos are, a TrialConfig's."""

    cases: Sequence[tuple[str, Size, int]]
    batch: int
    repeats: int
    photos: int
    full: Size
    tests: Sequence[str]
    trial: tuple[str, Size]
    people: int
    compiled: Sequence[tuple[str, Size, int]]
    at_once: Sequence[int] = (2, 4)
    pixels: str = "auto"


GPU = Plan(
    (("resnet34", (512, 384), 1280), ("resnet34", (224, 168), 5120), ("lcnet_050", (128, 96), 10240)),
    64, 3, 18_900, (512, 384), ("tests/trial", "-m", "not server and not slow"), ("resnet18", (224, 168)), 60,
    (("lcnet_050", (128, 96), 10240), ("resnet34", (224, 168), 5120)),
)  # fmt: skip
DRY = Plan(
    (("lcnet_050", (32, 24), 16),), 8, 1, 16, (64, 48), ("tests/trial/process/test_compute.py",),
    ("lcnet_050", (32, 24)), 30, (("test_resnet.r160_in1k", (32, 32), 16),), (2,), "device",
)  # fmt: skip


def tests_pass(plan: Plan, folder: Path, log: Path) -> dict[str, Any]:
    """The trial's tests, which take the GPU where device=auto does; their output goes into `log`."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(min(8, cores())), *plan.tests]
    with log.open("w") as file:
        done = subprocess.run(command, cwd=PROJECT, stdout=file, stderr=file)
    said = log.read_text()
    if done.returncode:
        print(said[-5000:], file=sys.stderr)
    last = said.strip().rpartition("\n")[2]
    return {"passed": done.returncode == 0, "last_line": last, "seconds": time.perf_counter() - started}


def training_rows(plan: Plan, folder: Path) -> Iterator[Row]:
    """Photos per second of training, against the limit and the plain way."""
    for model, size, count in plan.cases:
        table = many(rivals.drawn_table(folder, plan.full, plan.people), count)
        pixels, config = photos_of(table, size, folder), recipe(model, size, plan.batch, pixels=plan.pixels)
        copied = recipe(model, size, plan.batch, pixels="host")
        compute = decide(recipe_parts.build(config, FACE_MASK)[0])
        ways: dict[str, Way] = {
            "ours": partial(speed, count, partial(next, epochs_of(config, table, pixels))),
            "photos copied": partial(speed, count, partial(next, epochs_of(copied, table, pixels))),
            "plain way": partial(
                speed, count,
                partial(
                    rivals.steps, rivals.plain_network(model).to(compute.device),
                    rivals.plain_loader(table, size, plan.batch, min(WORKERS, cores()), "light"),
                ),
            ),
        }  # fmt: skip
        for layout in (False, True):
            network = rivals.plain_network(model, layout).to(compute.device)
            data = rivals.random_batches(size, plan.batch, count // plan.batch, layout, compute.device)
            name = f"limit, {'channels_last' if layout else 'NCHW'}"
            ways[name] = partial(speed, count, partial(rivals.steps, network, data, compute.precision))
        values = in_turn(ways, plan.repeats)
        what = f"{model}, {size_text(size)}, batch {plan.batch}"
        yield Row(what, "photos/s", *best(values, "limit"))
        for rival in ("plain way", "photos copied"):
            yield Row(what, "photos/s", values, "ours", rival)


def baseline_minutes(plan: Plan, folder: Path) -> dict[str, float]:
    """Minutes of the baseline's final recipe, 20 epochs of `plan.photos` drawn photos, from two epochs."""
    base = read_recipe(PROJECT / "recipes" / "baseline_resnet34.json")
    config = base.config({"model": "resnet34", "weights": "none", "image_size": size_text(plan.full)})
    table = many(rivals.drawn_table(folder, plan.full, plan.people), plan.photos)
    started = time.perf_counter()
    pixels = photos_of(table, plan.full, folder)
    decoding = time.perf_counter() - started
    epochs = epochs_of(config, table, pixels)
    first, second = next(epochs).seconds, next(epochs).seconds
    seconds = decoding + first + (config.epochs - 1) * second
    return {"decoding": decoding / 60, "first_epoch": first / 60, "second_epoch": second / 60,
            "minutes": seconds / 60}  # fmt: skip


def compiled(plan: Plan, folder: Path) -> dict[str, float]:
    """{case: seconds of the first epoch and of the faster of two more}, as it is, compiled, with graphs."""
    found: dict[str, float] = {}
    for model, size, count in plan.compiled:
        table = many(rivals.drawn_table(folder, plan.full, plan.people), count)
        pixels = photos_of(table, size, folder)
        for compile in (False, True, "graphs"):
            config = recipe(model, size, plan.batch, pixels=plan.pixels, compile=compile)
            first, *more = (epoch.seconds for epoch in islice(epochs_of(config, table, pixels), 3))
            name = f"{model} {size_text(size)} compile={str(compile).lower()}"
            found |= {f"{name}, first": first, name: min(more)}
    return found


def at_once(plan: Plan, folder: Path) -> dict[str, float]:
    """{number of trials: their time at once, as a fraction of that one after another}, without and with MPS;
    how many of them fit into the GPU's memory."""
    rivals.drawn_table(folder, plan.full, plan.people)
    model, size = plan.trial
    fixed = [
        f"data={folder / size_text(plan.full)}", f"model={model}", f"image_size={size_text(size)}",
        f"batch_size={plan.batch}", "epochs=5", "weights=none", "augment=light",
    ]  # fmt: skip
    found = {}

    def trials(number: int, environ: Mapping[str, str] = os.environ) -> float:
        out = tempfile.mkdtemp(dir=folder)
        started = time.perf_counter()
        words = [
            *fixed,
            f"threads={max(1, cores() // number)}",
            f"pixels={'auto' if number == 1 else 'host'}",
        ]
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "trial", *words, f"seed={one}", f"out={out}/{one}"],
                cwd=PROJECT,
                env=environ,
                stdout=subprocess.DEVNULL,
            )
            for one in range(number)
        ]
        try:
            codes = [process.wait() for process in running]
        finally:
            for process in running:
                process.kill()  # at a deadline; those that have ended are left alone
        if any(codes):
            raise SystemExit(f"one of {number} trials at once failed; see above")
        held[:] = (RunFolder(Path(out, str(one))).status().get("device_bytes", 0) for one in range(number))
        return time.perf_counter() - started

    held: list[int] = []  # bytes of the GPU, by the trials that ran last
    trials(1)  # decodes
    alone = trials(1)
    for number in plan.at_once:
        found[str(number)] = trials(number) / (number * alone)
    service = {"maxTrialNumberPerGpu": max(plan.at_once), "useActiveGpu": True}
    config = {"trainingService": service, "experimentWorkingDirectory": str(folder)}
    with shared_gpus(Experiment(folder / "at_once.yaml", config, {}, "", ())) as environ:
        for number in plan.at_once if environ else ():
            found[f"{number}, MPS"] = trials(number, os.environ | environ) / (number * alone)
    if max(held) and (free := free_bytes([])):
        found["fit"] = Memory(max(held), free, "").trials
    return {"seconds_of_one": alone, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="all parts, tiny, on the CPU")
    parser.add_argument("--out", type=Path, default=PROJECT / "out" / "gpu", help="folder of gpu.json")
    given = parser.parse_args()
    dry, out = given.dry, given.out
    if not dry and not torch.cuda.is_available():
        raise SystemExit("benchmarks/gpu.sh: torch sees no GPU here; --dry tries the script on the CPU")
    plan = DRY if dry else GPU
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    result: dict[str, Any] = {"device": device, "torch": torch.__version__, "cores": cores(), "dry": dry}
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)

    def record(name: str, found: Any) -> None:
        """Each part is written when it is done: a later one may run out of time."""
        result[name] = found
        (out / "gpu.json").write_text(json.dumps(result, indent=1))

    print(f"{device}, torch {torch.__version__}, {cores()} cores\n{HEADER}", flush=True)
    rows: list[dict[str, Any]] = []

    def training(plan: Plan, folder: Path) -> list[dict[str, Any]]:
        for row in training_rows(plan, folder):
            print(row, flush=True)
            rows.append(asdict(row) | {"ratio": row.ratio()})
            record("training", rows)
        return rows

    parts: dict[str, Callable[[Plan, Path], Any]] = {
        "tests": partial(tests_pass, log=out / "tests.log"), "training": training,
        "baseline": baseline_minutes, "at_once": at_once, "compiled": compiled,
    }  # fmt: skip
    late = []
    with tempfile.TemporaryDirectory() as folder:
        for name, part in parts.items():
            limit = DRY_SECONDS if dry else SECONDS[name]
            try:
                with deadline(limit):
                    record(name, found := part(plan, Path(folder)))
            except OverTime:
                late.append(name)
                record("over_time", late)
                print(f"{name}: over its {limit} s, left", flush=True)
                continue
            if name == "tests":
                print(f"tests: {found['last_line']}", flush=True)
            elif name != "training":
                print(
                    f"{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in found.items()), flush=True
                )
    print(out / "gpu.json", flush=True)
    if late or not result["tests"]["passed"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
