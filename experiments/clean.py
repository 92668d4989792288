"""Free disk space: the networks and checkpoints of trials that will not be used."""

import logging
from dataclasses import dataclass
from pathlib import Path

from analysis.trials.chosen import RUNNING, read_chosen
from analysis.trials.outcomes import outcomes
from analysis.trials.ranking import rank
from analysis.trials.table import find, trial_table
from common.errors import UsageError
from common.files import read_object, write_json
from common.text import bytes_text, counted, path_text
from experiments.saved.experiment import read_saved
from trial.run_folder.checkpoint import CHECKPOINT

logger = logging.getLogger(__name__)
KEEP = "keep.json"  # in the folder of an experiment that is cleaned while it runs
# Trials in other states may go on, or need a look before anything of theirs is removed.
DROPPED = ("done", "stopped_early", "failed")


@dataclass(frozen=True)
class Cleaned:
    """`files` that can go, of `trials` trials; `kept`: how many finished trials keep their network."""

    folder: Path
    files: tuple[Path, ...]
    trials: int
    kept: int

    @property
    def bytes(self) -> int:
        """What removing them frees: a file with another name as well stays."""
        return sum(status.st_size for file in self.files if (status := file.stat()).st_nlink == 1)

    def remove(self) -> None:
        for file in self.files:
            file.unlink(missing_ok=True)

    def line(self, removed: bool) -> str:
        """What was or would be freed, as a sentence."""
        size, place = bytes_text(self.bytes), path_text(self.folder)
        return f"{place}: {size} {'freed' if removed else 'can be freed'}: {_words(self.trials, self.kept)}"


def clean(wanted: str, keep: int) -> Cleaned:
    """What can be removed of the experiment that `find` finds by `wanted`.

    The best `keep` finished trials keep their networks. Of all other trials that have ended for good the
    networks and checkpoints can go; recipe, curve, answers and status stay, so that table, report, promise
    and retraining are as before. Paused trials, those that `resume` runs again, and damaged ones keep all;
    so do those of which the search does not know yet that they have ended: they may be paused.
    """
    experiment = find(wanted)
    choices = read_chosen(experiment.folder)  # refused if damaged: it says which trials are paused
    ranking = rank(trial_table(experiment))
    best = set(ranking.ranked["trial"].head(keep))
    states = dict(zip(ranking.table["trial"], ranking.table["state"], strict=True))
    saved = read_saved(experiment.folder)
    again = {trial.trial for trial in saved.unfinished()}
    # Those that these go on from: their files may not be copied yet.
    again |= {one.parent for one in saved.trials if one.is_open or one.trial in again}
    files, trials = [], 0
    for one in outcomes(experiment.folder, choices):
        trial = one.recorded.trial
        unknown = one.chosen is not None and one.chosen.state == RUNNING
        if states.get(trial) not in DROPPED or trial in again or unknown:
            continue
        # Those that it went on from are hopeless once it is done.
        runs = [earlier.run for earlier in one.earlier if states[trial] == "done"]
        runs += [one.run] if trial not in best else []
        found = [file for run in runs for file in (*run.weights_files(), run.folder / CHECKPOINT)]
        found = [file for file in found if file.is_file()]
        trials += bool(found)
        files += found
    return Cleaned(experiment.folder, tuple(files), trials, len(best))


class Keeper:
    """Cleans the experiment in `folder` while it runs, so that its `keep` best finished trials so far keep
    their networks; None: does nothing."""

    def __init__(self, folder: Path, keep: int | None):
        self.folder, self.keep = folder, keep
        self.bytes = self.trials = 0  # freed
        self._done = 0

    def look(self, done: int) -> None:
        """Clean, if the number of finished trials has changed."""
        if self.keep is None or done == self._done:
            return
        try:
            found = clean(str(self.folder), self.keep)
            freed = found.bytes
            found.remove()
        except (UsageError, OSError) as error:  # the next time perhaps
            logger.debug("not cleaned: %s", error)
            return
        self._done = done
        self.bytes, self.trials = self.bytes + freed, self.trials + found.trials

    def line(self) -> str:
        """What was freed, as a sentence; '' if nothing was."""
        if not self.trials:
            return ""
        return f"{bytes_text(self.bytes)} freed: {_words(self.trials, self.keep or 0)}"


def _words(trials: int, kept: int) -> str:
    best = "the best keeps its own" if kept == 1 else f"the {kept} best keep theirs"
    return f"networks and checkpoints of {counted(trials, 'trial')}; {best}"


def write_keep(folder: Path, keep: int) -> None:
    """Note in the experiment's `folder` how many of its trials keep their networks."""
    write_json(folder / KEEP, {"keep": keep})


def read_keep(folder: Path) -> int | None:
    """What `write_keep` noted; None if nothing."""
    try:
        return int(read_object(folder / KEEP, {"keep": (int,)})["keep"])
    except FileNotFoundError:
        return None
