"""The trials of earlier experiments with the same space and command: what they took, a search will take."""

from collections.abc import Iterator
from contextlib import suppress

from analysis.trials.table import experiments
from common.errors import UsageError
from common.nni_database import profile
from experiments.plan import Plan
from trial.run_folder.record import RunFolder


def earlier(plan: Plan) -> Iterator[list[RunFolder]]:
    """The run folders of each such experiment, the newest first. One with a damaged database is left out."""
    wanted = plan.effective()
    for one in reversed(experiments(plan.runs)):
        with suppress(UsageError):
            then = profile(one.folder, first=True)
            if all(then.get(key) == wanted[key] for key in ("searchSpace", "trialCommand")):
                yield [RunFolder(folder) for folder in (one.folder / "trials").glob("*")]
