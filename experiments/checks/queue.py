"""queue.yaml, what the job of each trial asks of a cluster's queue: read, and checked before a search."""

import math
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import UsageError, unknown
from common.nni_yaml import read_file

if TYPE_CHECKING:
    import submitit

DEFAULT = Path("queue.yaml")
# How a trialCommand begins if its trials are jobs: group 1 is the file.
START = re.compile(r"\s*\S+\s+-m\s+experiments\.submit(?:\s+--queue[ =](\S+))?\s+--\s+\S+\s+-m\s+trial")
MODULE = "experiments.submit"
MINUTES = (5, 30 * 24 * 60)  # SLURM warns a job 90 s before its end; in fewer minutes little is trained
# Parameters of submitit's SlurmExecutor that are not for `options`, and why.
ELSEWHERE = {
    "partition": "write partition", "time": "write minutes", "gpus_per_node": "write gpus",
    "num_gpus": "write gpus", "cpus_per_task": "write cpus", "mem": "write memory",
    "job_name": "is the trial's id", "nodes": "a trial is one process",
    "ntasks_per_node": "a trial is one process", "array_parallelism": "each trial is a job of its own",
}  # fmt: skip


@dataclass(frozen=True)
class Queue:
    """Where jobs run and what each asks for.

    `executor`: slurm, or local: on this machine, to try it. `minutes`: after them the queue ends a job.
    `memory`: in GB. `options`: further parameters of submitit's SlurmExecutor (account, qos, constraint).
    `partition` and `options` are read by slurm only.
    """

    executor: str
    minutes: int
    partition: str | None = None
    gpus: int = 0
    cpus: int = 1
    memory: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def submitter(self, folder: Path, name: str) -> "submitit.AutoExecutor":
        """submitit's executor for jobs of this `name`, whose files lie in `folder`. RuntimeError if there is
        no SLURM.

        The queue may not start a job again: NNI does that (experiments/submit.py), and two would write into
        the same run folder.
        """
        import submitit

        executor = submitit.AutoExecutor(folder, cluster=self.executor)
        options = dict(self.options)
        more = {"no-requeue": True, **(options.pop("additional_parameters", None) or {})}
        # From SLURM 22.05 on srun does not inherit them, and a trial would have one core.
        steps = [f"--cpus-per-task={self.cpus}", *(options.pop("srun_args", None) or ())]
        executor.update_parameters(
            name=name, timeout_min=self.minutes, cpus_per_task=self.cpus, mem_gb=self.memory,
            gpus_per_node=self.gpus or None, slurm_partition=self.partition,
            slurm_additional_parameters=more, slurm_srun_args=steps,
            **{f"slurm_{key}": value for key, value in options.items()},
        )  # fmt: skip
        return executor


def _is_integer(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_gigabytes(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e5


FITS: dict[str, tuple[str, Callable[[Any], bool]]] = {  # key: what its value must be, in words and as a test
    "executor": ("slurm or local", lambda value: value in ("slurm", "local")),
    "minutes": (
        f"an integer from {MINUTES[0]} to {MINUTES[1]:,} (30 days)",
        lambda value: _is_integer(value, *MINUTES),
    ),
    "partition": ("a text", lambda value: isinstance(value, str)),
    "gpus": ("an integer from 0 to 64", lambda value: _is_integer(value, 0, 64)),
    "cpus": ("an integer from 1 to 1,024", lambda value: _is_integer(value, 1, 1024)),
    "memory": ("a number of gigabytes above 0", _is_gigabytes),
    "options": ("a mapping of names to values", lambda value: isinstance(value, Mapping)),
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
    needed = [one.name for one in fields(Queue) if one.default is one.default_factory is MISSING]
    errors += [f"{key}: is missing" for key in needed if key not in given]
    errors += [
        f"{key}: {given[key]!r} is not {words}"
        for key, (words, fits) in FITS.items()
        if key in given and not fits(given[key])
    ]
    if isinstance(options := given.get("options"), Mapping):
        errors += _option_errors(options)
    if errors:
        raise UsageError(f"{path}: {error}" for error in errors)
    return Queue(**given)


def _option_errors(options: Mapping[str, Any]) -> list[str]:
    import submitit

    known = submitit.SlurmExecutor._valid_parameters() - ELSEWHERE.keys()
    errors = [
        f"options.{key}: {ELSEWHERE[key]}" if key in ELSEWHERE
        else f"options: {unknown('option', key, sorted(known))}"
        for key in options if key not in known
    ]  # fmt: skip
    if not isinstance(options.get("additional_parameters") or {}, Mapping):
        errors.append("options.additional_parameters: is not a mapping of sbatch's options to values")
    return errors


def queue_errors(config: Mapping[str, Any], start: str, code: Path) -> list[str]:
    """Errors in the queue of an experiment whose trialCommand begins with `start` and runs in the folder
    `code`; [] if its trials are no jobs. SLURM itself is asked whether it would take such a job."""
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
    return errors + (_slurm_errors(queue) if queue.executor == "slurm" else [])


def _slurm_errors(queue: Queue) -> list[str]:
    if missing := [
        name for name in ("sbatch", "srun", "squeue", "scancel", "sinfo") if shutil.which(name) is None
    ]:
        return [
            f"executor: slurm: there is no {', '.join(missing)} on this machine; start the search where jobs "
            "are submitted"
        ]
    limits = _limits(queue.partition)
    if limits and queue.minutes > max(limits):
        return [
            f"minutes: {queue.minutes} is more than the partition's limit of {max(limits):g}; its jobs would "
            "wait for ever"
        ]
    submitter = queue.submitter(Path(), "test")._executor
    script = submitter._make_submission_file_text("true", "")  # type: ignore[attr-defined]  # of SlurmExecutor
    test = _ask("sbatch", "--test-only", given=script)
    why = test.stderr.strip().splitlines() or ["it does not say why"]
    return [f"SLURM would refuse the trials' jobs: {why[0]}"] if test.returncode else []


def _limits(partition: str | None) -> list[float]:
    """The walltime limits, in minutes, of the partitions that a job may use; [] if there is no such one."""
    which = [f"--partition={partition}"] if partition else []
    rows = [
        line.split() for line in _ask("sinfo", "--noheader", "--format=%P %l", *which).stdout.splitlines()
    ]
    return [_minutes(limit) for name, limit in rows if partition or name.endswith("*")]  # *: the default one


def _minutes(limit: str) -> float:
    """Of sinfo's '1-12:00:00', '30:00' or 'infinite'."""
    if limit == "infinite":
        return math.inf
    days, _, clock = limit.rpartition("-")
    seconds = sum(int(part) * 60**place for place, part in enumerate(reversed(clock.split(":"))))
    return int(days or 0) * 24 * 60 + seconds / 60


def _ask(*command: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"{command[0]} gave no answer in a minute")
