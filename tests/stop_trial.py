"""An assessor for tests: it stops exactly the trial it is told to, at the epoch it is told."""

from nni.assessor import Assessor, AssessResult


class StopTrial(Assessor):
    """Stops the `trial`-th trial (from 0, in the order of their first report) at `epoch` (from 1)."""

    def __init__(self, trial: int, epoch: int):
        self.trial, self.epoch = trial, epoch
        self.seen: list[str] = []

    def assess_trial(self, trial_job_id, trial_history):
        if trial_job_id not in self.seen:
            self.seen.append(trial_job_id)
        chosen = self.seen.index(trial_job_id) == self.trial
        return AssessResult.Bad if chosen and len(trial_history) >= self.epoch else AssessResult.Good
