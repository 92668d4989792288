"""SLURM's jobs, and jobs on this machine that are like them, both by submitit."""

import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from common.errors import UsageError, first_line, unknown
from common.process import as_exit_code, process_lives, process_mark
from experiments.queues.job import LOOK_SECONDS, Job, Queue

if TYPE_CHECKING:
    import submitit

# Parameters of submitit's SlurmExecutor that are not for `options`, and why.
ELSEWHERE = {
    "partition": "write partition", "time": "write minutes", "gpus_per_node": "write gpus",
    "num_gpus": "write gpus", "cpus_per_task": "write cpus", "mem": "write memory",
    "job_name": "is the trial's id", "nodes": "a trial is one process",
    "ntasks_per_node": "a trial is one process", "array_parallelism": "each trial is a job of its own",
}  # fmt: skip


class SlurmJob(Job):
    """A job of SLURM. SLURM may not start it again: NNI does that (experiments/submit.py), and two would
    write into the same run folder."""

    keys = frozenset({"minutes", "partition"})
    needed = ("minutes",)
    ask_seconds: ClassVar[float] = 30.0

    def __init__(self, job: "submitit.Job[int]"):
        super().__init__(job.job_id, job.paths.stdout, job.paths.stderr, job.paths.result_pickle)
        self._job = job

    @classmethod
    def submit(
        cls, queue: Queue, folder: Path, name: str, command: Sequence[str], environ: Mapping[str, str]
    ) -> Self:
        os.environ.setdefault("SUBMITIT_LOG_LEVEL", "WARNING")  # the job's log is the trial's
        try:
            return cls(submitter(queue, folder, name).submit(train, command, environ, process_mark()))
        except RuntimeError as error:  # of submitit, all kinds: no SLURM, or sbatch says no
            raise UsageError(f"the queue did not take the job: {first_line(error)}") from None

    @classmethod
    def left(cls, queue: Queue, folder: Path, id: str) -> Self:
        import submitit

        return cls(submitit.SlurmJob(folder, id))

    def cancel(self) -> None:
        self._job.cancel(check=False)

    def _is_there(self) -> bool:
        # submitit would ask sacct, which answers only where SLURM keeps accounts.
        asked = subprocess.run(["squeue", "--noheader", f"--jobs={self.id}"], capture_output=True, text=True)
        return bool(asked.stdout.strip()) if asked.returncode == 0 else "Invalid job id" not in asked.stderr

    def _result(self) -> int:
        from submitit.core.utils import FailedJobError

        try:
            return self._job.result()
        except FailedJobError as error:  # the trial could not be started there
            print(error, file=sys.stderr)
            return 1

    @staticmethod
    def errors(queue: Queue) -> list[str]:
        """SLURM itself is asked whether it would take such a job."""
        if missing := [
            name for name in ("sbatch", "srun", "squeue", "scancel", "sinfo") if shutil.which(name) is None
        ]:
            return [
                f"executor: slurm: there is no {', '.join(missing)} on this machine; start the search where "
                "jobs are submitted"
            ]
        limits = _limits(queue.partition)
        if limits and queue.minutes is not None and queue.minutes > max(limits):
            return [
                f"minutes: {queue.minutes} is more than the partition's limit of {max(limits):g}; its jobs "
                "would wait for ever"
            ]
        executor = submitter(queue, Path(), "test")._executor
        script = executor._make_submission_file_text("true", "")  # type: ignore[attr-defined]  # of SlurmExecutor
        test = _ask("sbatch", "--test-only", given=script)
        why = test.stderr.strip().splitlines() or ["it does not say why"]
        return [f"SLURM would refuse the trials' jobs: {why[0]}"] if test.returncode else []

    @staticmethod
    def option_errors(options: Mapping[str, Any]) -> list[str]:
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


class LocalJob(SlurmJob):
    """A job on this machine, to try how a trial does as one. `partition` and `options` have no effect."""

    @classmethod
    def left(cls, queue: Queue, folder: Path, id: str) -> Self:
        import submitit

        return cls(submitit.LocalJob(folder, id))

    def _is_there(self) -> bool:
        return not self._job.done()

    @staticmethod
    def errors(queue: Queue) -> list[str]:
        return []


def submitter(queue: Queue, folder: Path, name: str) -> "submitit.AutoExecutor":
    """submitit's executor for jobs of this `name`, whose files lie in `folder`. RuntimeError if there is no
    SLURM."""
    import submitit

    executor = submitit.AutoExecutor(folder, cluster=queue.executor)
    options = dict(queue.options)
    more = {"no-requeue": True, **(options.pop("additional_parameters", None) or {})}
    # From SLURM 22.05 on srun does not inherit them, and a trial would have one core.
    steps = [f"--cpus-per-task={queue.cpus}", *(options.pop("srun_args", None) or ())]
    executor.update_parameters(
        name=name, timeout_min=queue.minutes, cpus_per_task=queue.cpus, mem_gb=queue.memory,
        gpus_per_node=queue.gpus or None, slurm_partition=queue.partition,
        slurm_additional_parameters=more, slurm_srun_args=steps,
        **{f"slurm_{key}": value for key, value in options.items()},
    )  # fmt: skip
    return executor


def train(command: Sequence[str], environ: Mapping[str, str], submitter: Mapping[str, Any]) -> int:
    """What the job does: run `command` with these further environment variables; return its exit code, 128 +
    signal if a signal ended it.

    SLURM tells this process of a preemption (SIGTERM) and of the coming walltime (SIGUSR2); the trial gets
    SIGTERM from here. It also ends with the process `submitter`, of `process_mark`, if that was on this
    machine.
    """
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # inherited by the trial: some sites signal all processes
    with subprocess.Popen(command, env={**os.environ, **environ}) as trial:
        for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT):  # submitit's local jobs get the last
            signal.signal(number, lambda *_: trial.terminate())
        while trial.poll() is None:
            if not process_lives(submitter):
                trial.terminate()
            with suppress(subprocess.TimeoutExpired):
                trial.wait(LOOK_SECONDS)
    return as_exit_code(trial.returncode)


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
