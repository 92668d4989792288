"""Whether the jobs of a queue are long enough for an epoch: one that ends before its first checkpoint begins
again, for ever."""

from contextlib import suppress

import pandas as pd

from common.errors import UsageError
from experiments.checks.earlier import earlier
from experiments.checks.queue import DEFAULT, START, read_queue
from experiments.plan import Plan
from experiments.queues.job import Queue

WARNING = 90  # seconds before the end of a job, at which SLURM asks it to end


def walltime_errors(plan: Plan) -> list[str]:
    """[Why a job is shorter than an epoch], by the slowest trial of the newest earlier experiment with the
    same space and command; [] if it is not, if that is not known, or if the trials are no jobs."""
    queue = queue_of(plan)
    if queue is None:
        return []
    for runs in earlier(plan):
        found = []
        for run in runs:
            with suppress(UsageError, OSError, KeyError, TypeError, pd.errors.EmptyDataError):
                on_gpu = str(run.origin()["compute"]["device"]).startswith("cuda")
                if on_gpu == (queue.gpus > 0):  # an epoch on the other kind says nothing
                    found.append(float(run.epochs()["seconds"].median()))
        if found:
            of = f"the slowest of {len(found)} earlier trials" if len(found) > 1 else "an earlier trial"
            return too_short(queue, max(found), f"in {of} of this search")
    return []


def too_short(queue: Queue, epoch: float, where: str) -> list[str]:
    """[The message that jobs are shorter than an `epoch` (seconds), measured `where`], [] if not, or if the
    queue does not end them."""
    if queue.minutes is None or epoch <= 60 * queue.minutes - WARNING:
        return []
    least = -(-(epoch + WARNING) // 60)
    return [
        f"minutes: {queue.minutes}: an epoch took {epoch / 60:.1f} minutes {where}; a job that ends before "
        f"its first checkpoint begins again for ever: give more than {least:.0f}, or a cheaper recipe"
    ]


def queue_of(plan: Plan) -> Queue | None:
    """The queue whose jobs the trials are; None if they are none, or its file has errors, which
    `queue_errors` says."""
    if not (found := START.fullmatch(plan.start)):
        return None
    try:
        return read_queue(plan.code / (found[1] or DEFAULT))
    except UsageError:
        return None
