"""queue.yaml, what the job of each trial asks of a cluster's queue: read, and checked before a search."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common.errors import UsageError, unknown
from common.kinds import is_integer, is_number
from common.nni_yaml import read_file
from experiments.queues.job import Job, Queue
from experiments.queues.ray_cluster import RayJob
from experiments.queues.slurm import LocalJob, SlurmJob

EXECUTORS: dict[str, type[Job]] = {"slurm": SlurmJob, "local": LocalJob, "ray": RayJob}
KEYS = frozenset().union(*(executor.keys for executor in EXECUTORS.values()))  # that some executors have

DEFAULT = Path("queue.yaml")
# How a trialCommand begins if its trials are jobs: group 1 is the file.
START = re.compile(r"\s*\S+\s+-m\s+experiments\.submit(?:\s+--queue[ =](\S+))?\s+--\s+\S+\s+-m\s+trial")
MODULE = "experiments.submit"
MINUTES = (5, 30 * 24 * 60)  # SLURM warns a job 90 s before its end; in fewer minutes little is trained


FITS: dict[str, tuple[str, Callable[[Any], bool]]] = {  # key: what its value must be, in words and as a test
    "executor": (" or ".join(EXECUTORS), lambda value: isinstance(value, str) and value in EXECUTORS),
    "minutes": (
        f"an integer from {MINUTES[0]} to {MINUTES[1]:,} (30 days)",
        lambda value: is_integer(value, *MINUTES),
    ),
    "partition": ("a text", lambda value: isinstance(value, str)),
    "gpus": ("an integer from 0 to 64", lambda value: is_integer(value, 0, 64)),
    "cpus": ("an integer from 1 to 1,024", lambda value: is_integer(value, 1, 1024)),
    "memory": ("a number of gigabytes above 0", lambda value: is_number(value) and 0 < value < 1e5),
    "options": ("a mapping of names to values", lambda value: isinstance(value, Mapping)),
    "address": (
        "HOST:PORT, which ray start has shown",
        lambda value: isinstance(value, str) and re.fullmatch(r"[^\s/]+:\d+", value) is not None,
    ),
}


def read_queue(path: Path) -> Queue:
    """UsageError lists every error in the file."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file; docs/several-machines.md shows one")
    content, errors = read_file(path)
    if not errors and not isinstance(content, dict):
        errors = [f"{path}: is not a mapping of keys to values"]
    if errors:
        raise UsageError(errors)
    given = {key: value for key, value in content.items() if value is not None}
    errors += [unknown("key", key, FITS) for key in given if key not in FITS]
    executor = EXECUTORS.get(str(given.get("executor")), SlurmJob)  # a misspelled one is the usual one
    if given.get("executor") in [*EXECUTORS]:
        errors += [
            f"{key}: executor {given['executor']} has none; leave it out"
            for key in given if key in KEYS - executor.keys
        ]  # fmt: skip
    errors += [f"{key}: is missing" for key in ("executor", *executor.needed) if key not in given]
    errors += [
        f"{key}: {given[key]!r} is not {words}"
        for key, (words, fits) in FITS.items()
        if key in given and not fits(given[key])
    ]
    if isinstance(options := given.get("options"), Mapping):
        errors += executor.option_errors(options)
    if errors:
        raise UsageError(f"{path}: {error}" for error in errors)
    return Queue(**given)


def queue_errors(config: Mapping[str, Any], start: str, code: Path) -> list[str]:
    """Errors in the queue of an experiment whose trialCommand begins with `start` and runs in the folder
    `code`; [] if its trials are no jobs. The queue itself is asked whether it would take such a job."""
    if MODULE not in start:
        return []
    found = START.fullmatch(start)
    if not found:
        return [f"trialCommand: is not 'python -m {MODULE} --queue FILE -- python -m trial key=value ...'"]
    errors = []
    service = config.get("trainingService")
    if "trialGpuNumber" in {**config, **(service if isinstance(service, Mapping) else {})}:
        errors.append("trialGpuNumber: is for this machine's GPUs; leave it out, and give gpus in queue.yaml")
    try:
        queue = read_queue(code / (found[1] or DEFAULT))
    except UsageError as error:
        return errors + error.errors
    return errors + EXECUTORS[queue.executor].errors(queue)
