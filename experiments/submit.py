"""python -m experiments.submit [--queue queue.yaml] -- python -m trial ...: a trial as a job of a queue.

NNI starts this command in place of the trial. It submits the trial as a job (experiments/queues), shows its
log, and ends with the trial's exit code. The trial itself, on another machine, reads NNI's values and writes
reports and run folder on a disk that both machines share, as it does on one machine.

This command and its job end together. If NNI or a person ends this command, the job is cancelled. If the
queue ends the job (preemption, walltime, a node that fails), this command ends as by a signal: NNI's manager
starts it again (nni_setup/again.js), and the next job goes on from the trial's checkpoint. If this command
alone is killed, the next one takes over the job that it left.
"""

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from common.errors import UsageError, exit_on_usage_error
from common.files import write_atomic
from common.process import end_with_parent, lives
from experiments.checks.queue import DEFAULT, EXECUTORS, read_queue
from experiments.queues.job import LOOK_SECONDS, Job, Queue
from trial import advisor
from trial.process.signals import STOPPED
from trial.run_folder.status import note_gone
from trial.warm.client import SWITCH

LAST_SECONDS = 3.0  # for the end of a cancelled job: NNI kills this command 5 s after SIGTERM
FOLDER, JOB = "queue", "job"  # in the run folder: the job's files; the id of the job, until it has ended

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
    log = _Log(job)
    while not job.has_ended() and not stopped.is_set():
        log.pass_on()
        if manager and not lives(manager):
            stopped.set()
        stopped.wait(LOOK_SECONDS)
    if stopped.is_set():
        job.cancel()
        until = time.monotonic() + LAST_SECONDS
        while not job.has_ended(ask=True) and time.monotonic() < until:
            time.sleep(LOOK_SECONDS / 2)
    code = STOPPED if stopped.is_set() else job.exit_code()
    log.pass_on()
    if job.has_ended(ask=True):  # else the next process takes it over
        (run / FOLDER / JOB).unlink(missing_ok=True)
        note_gone(run, f"its job {job.id} has ended")
    return code


def _run_folder(command: Sequence[str]) -> Path:
    if advisor.in_experiment():
        return advisor.trial_folder()
    out = next((word.partition("=")[2] for word in command if word.startswith("out=")), "")
    if not out:
        raise UsageError("out: is missing; without NNI the trial's folder, which holds the job's files, too")
    return Path(out)


def _left_job(queue: Queue, run: Path) -> Job | None:
    """The job of this trial that an earlier process has left, as it was killed."""
    with suppress(FileNotFoundError):
        return EXECUTORS[queue.executor].left(queue, run / FOLDER, (run / FOLDER / JOB).read_text())
    return None


def _new_job(queue: Queue, command: Sequence[str], run: Path) -> Job:
    words = [shutil.which(command[0]) or command[0], *command[1:]]
    if not any(word.startswith("threads=") for word in words):
        words.append(f"threads={queue.cpus}")  # the trial would share this machine's with its neighbours
    # A site may start jobs without the environment of those who submit them (SBATCH_EXPORT=NONE).
    environ = {name: value for name, value in os.environ.items() if name.startswith(("NNI_", "FACE_MASK_"))}
    environ[SWITCH] = "0"  # the warm server is on this machine
    (run / FOLDER).mkdir(parents=True, exist_ok=True)
    job = EXECUTORS[queue.executor].submit(queue, run / FOLDER, run.name, words, environ)
    write_atomic(run / FOLDER / JOB, lambda part: part.write_text(job.id))
    print(f"job {job.id} is in the queue ({queue.executor})", flush=True)
    return job


class _Log:
    """What the job writes on the shared disk, passed on to those who watch this machine only."""

    def __init__(self, job: Job):
        self._to = {job.stdout: sys.stdout.buffer, job.stderr: sys.stderr.buffer}
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


if __name__ == "__main__":
    app(prog_name="python -m experiments.submit")
