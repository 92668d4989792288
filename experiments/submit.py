"""python -m experiments.submit [--queue queue.yaml] -- python -m trial ...: a trial as a job of a queue.

NNI starts this command in place of the trial. It submits the trial by submitit, shows the job's log as its
own, and ends with the trial's exit code. The trial itself, on another machine, reads NNI's values and writes
reports and run folder on a disk that both machines share, as it does on one machine.

This command and its job end together. If NNI or a person ends this command, the job is cancelled. If the
queue ends the job (preemption, walltime, a node that fails), this command ends as by a signal: NNI's manager
starts it again (nni_setup/again.js), and the next job goes on from the trial's checkpoint. If this command
alone is killed, the next one takes over the job that it left.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.errors import UsageError, exit_on_usage_error, first_line
from common.files import write_atomic
from common.process import as_exit_code, end_with_parent, lives, process_lives, process_mark
from experiments.checks.queue import DEFAULT, Queue, read_queue
from trial import advisor
from trial.process.signals import STOPPED
from trial.run_folder.status import note_gone
from trial.warm.client import SWITCH

if TYPE_CHECKING:
    import submitit

LOOK_SECONDS = 1.0
ASK_SECONDS = 30.0  # between two questions to SLURM
RESULT_SECONDS = 10.0  # in which the result of an ended job must be seen here
LAST_SECONDS = 3.0  # for the end of a cancelled job: NNI kills this command 5 s after SIGTERM
FOLDER, JOB = "queue", "job"  # in the run folder: submitit's files; the id of the job, until it has ended

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(epilog="Example: python -m experiments.submit --queue queue.yaml -- python -m trial data=input")
@exit_on_usage_error()
def main(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND")],
    queue: Annotated[Path, typer.Option(help="what each job asks for; docs/several-machines.md")] = DEFAULT,
) -> None:
    """Run one trial as a job of a cluster's queue; NNI starts this in place of the trial.

    Without NNI the trial needs out=FOLDER. Exit code: the trial's; 143 if the job was cancelled, or ended by
    the queue.
    """
    if advisor.in_experiment():
        end_with_parent()  # NNI's shell: if that alone is killed, NNI takes the trial for gone
    raise SystemExit(submit(read_queue(queue), command))


def submit(queue: Queue, command: Sequence[str]) -> int:
    """Run `command` (python -m trial ...) as a job until its end; return the exit code. UsageError if the
    queue does not take it."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    manager, run = advisor.manager(), _run_folder(command)
    job = _left_job(queue, run) or _new_job(queue, command, run)
    log, has_ended = _Log(job), _Ended(job)
    while not has_ended(ASK_SECONDS) and not stopped.is_set():
        log.pass_on()
        if manager and not lives(manager):
            stopped.set()
        stopped.wait(LOOK_SECONDS)
    if stopped.is_set():
        job.cancel(check=False)
        until = time.monotonic() + LAST_SECONDS
        while not has_ended() and time.monotonic() < until:
            time.sleep(LOOK_SECONDS / 2)
    code = STOPPED if stopped.is_set() else _exit_code(job)
    log.pass_on()
    if has_ended():  # else the next process takes it over
        (run / FOLDER / JOB).unlink(missing_ok=True)
        note_gone(run, f"its job {job.job_id} has ended")
    return code


def _run_folder(command: Sequence[str]) -> Path:
    if advisor.in_experiment():
        return advisor.trial_folder()
    out = next((word.partition("=")[2] for word in command if word.startswith("out=")), "")
    if not out:
        raise UsageError("out: is missing; without NNI the trial's folder, which holds the job's files, too")
    return Path(out)


def _left_job(queue: Queue, run: Path) -> "submitit.Job[int] | None":
    """The job of this trial that an earlier process has left, as it was killed."""
    import submitit

    kinds = {"slurm": submitit.SlurmJob, "local": submitit.LocalJob}
    with suppress(FileNotFoundError):
        return kinds[queue.executor](run / FOLDER, (run / FOLDER / JOB).read_text())
    return None


def _new_job(queue: Queue, command: Sequence[str], run: Path) -> "submitit.Job[int]":
    os.environ.setdefault("SUBMITIT_LOG_LEVEL", "WARNING")  # the job's log is the trial's
    words = [shutil.which(command[0]) or command[0], *command[1:]]
    if not any(word.startswith("threads=") for word in words):
        words.append(f"threads={queue.cpus}")  # the trial would share this machine's with its neighbours
    # A site may start jobs without the environment of those who submit them (SBATCH_EXPORT=NONE).
    environ = {name: value for name, value in os.environ.items() if name.startswith(("NNI_", "FACE_MASK_"))}
    environ[SWITCH] = "0"  # the warm server is on this machine
    (run / FOLDER).mkdir(parents=True, exist_ok=True)
    try:
        job = queue.submitter(run / FOLDER, run.name).submit(train, words, environ, process_mark())
    except RuntimeError as error:  # of submitit, all kinds: no SLURM, or sbatch says no
        raise UsageError(f"the queue did not take the job: {first_line(error)}") from None
    write_atomic(run / FOLDER / JOB, lambda part: part.write_text(job.job_id))
    print(f"job {job.job_id} is in the queue ({queue.executor})", flush=True)
    return job


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


class _Log:
    """What the job writes on the shared disk, passed on to those who watch this machine only."""

    def __init__(self, job: "submitit.Job[int]"):
        self._to = {job.paths.stdout: sys.stdout.buffer, job.paths.stderr: sys.stderr.buffer}
        self._read = dict.fromkeys(self._to, 0)
        self._metrics = advisor.metrics_file() if advisor.in_experiment() else None
        self._reported = 0

    def pass_on(self) -> None:
        """Show what is new in the job's output, and let NNI read what is new of the trial's reports."""
        for path, to in self._to.items():
            new = _since(path, self._read[path])
            self._read[path] += len(new)
            to.write(new)
            to.flush()
        if self._metrics and (new := _since(self._metrics, self._reported)):
            self._reported += len(new)
            # NNI waits until the kernel tells it of a change. It does not, if another machine writes.
            os.utime(self._metrics)


def _since(path: Path, read: int) -> bytes:
    """The file after `read` bytes; it is opened each time, which makes NFS ask its server. Empty if there is
    none."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(read)
        return file.read()
    return b""


class _Ended:
    """Whether a job has ended: by the result that it leaves, or since it is no longer there."""

    def __init__(self, job: "submitit.Job[int]"):
        self._job, self._ended, self._asked = job, False, time.monotonic()

    def __call__(self, every: float = 0.0) -> bool:
        """Look for its result, and ask SLURM if that was `every` seconds ago."""
        folder = self._job.paths.folder
        os.utime(folder)  # else NFS may take a minute to notice a new file
        if self._job.paths.result_pickle.exists():
            return True
        if not self._ended and time.monotonic() - self._asked >= every:
            self._ended = not _is_there(self._job)
            self._asked = time.monotonic()
        return self._ended


def _is_there(job: "submitit.Job[int]") -> bool:
    """Whether the queue still has the job, waiting or running; also if it gives no answer."""
    import submitit

    if isinstance(job, submitit.LocalJob):
        return not job.done()
    # submitit would ask sacct, which answers only where SLURM keeps accounts.
    asked = subprocess.run(["squeue", "--noheader", f"--jobs={job.job_id}"], capture_output=True, text=True)
    return bool(asked.stdout.strip()) if asked.returncode == 0 else "Invalid job id" not in asked.stderr


def _exit_code(job: "submitit.Job[int]") -> int:
    """Of a job that has ended: the trial's; STOPPED, as by a signal, if the queue ended the job."""
    from submitit.core.utils import FailedJobError

    until = time.monotonic() + RESULT_SECONDS
    while not job.paths.result_pickle.exists() and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
        os.utime(job.paths.folder)
    if not job.paths.result_pickle.exists():
        print(f"job {job.job_id} was ended by the queue", file=sys.stderr)
        return STOPPED
    try:
        return job.result()
    except FailedJobError as error:  # the trial could not be started there
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    app(prog_name="python -m experiments.submit")
