"""Free disk space: the networks and checkpoints of trials that will not be used."""

from dataclasses import dataclass
from pathlib import Path

from analysis.trials.chosen import read_chosen
from analysis.trials.outcomes import outcomes
from analysis.trials.ranking import rank
from analysis.trials.table import find, trial_table
from common.text import bytes_text, path_text
from experiments.saved.experiment import read_saved
from trial.checkpoint import CHECKPOINT

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
        words = f"networks and checkpoints of {self.trials} trials; the {self.kept} best keep theirs"
        return f"{place}: {size} {'freed' if removed else 'can be freed'}: {words}"


def clean(wanted: str, keep: int) -> Cleaned:
    """What can be removed of the experiment that `find` finds by `wanted`.

    The best `keep` finished trials keep their networks. Of all other trials that have ended for good the
    networks and checkpoints can go; recipe, curve, answers and status stay, so that table, report, promise
    and retraining are as before. Paused trials, those that `resume` runs again, and damaged ones keep all.
    """
    experiment = find(wanted)
    read_chosen(experiment.folder)  # refused if damaged: it says which trials are paused
    ranking = rank(trial_table(experiment))
    best = set(ranking.ranked["trial"].head(keep))
    states = dict(zip(ranking.table["trial"], ranking.table["state"], strict=True))
    again = {trial.trial for trial in read_saved(experiment.folder).unfinished()}
    files, trials = [], 0
    for one in outcomes(experiment.folder):
        trial = one.recorded.trial
        if states[trial] not in DROPPED or trial in again:
            continue
        # Those that it went on from are hopeless once it is done.
        runs = [earlier.run for earlier in one.earlier if states[trial] == "done"]
        runs += [one.run] if trial not in best else []
        found = [file for run in runs for file in (*run.weights_files(), run.folder / CHECKPOINT)]
        found = [file for file in found if file.is_file()]
        trials += bool(found)
        files += found
    return Cleaned(experiment.folder, tuple(files), trials, len(best))
