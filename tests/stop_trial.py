"""An assessor for tests that stops one chosen trial at a chosen epoch."""

from nni.assessor import Assessor, AssessResult


class StopTrial(Assessor):
    """Stops trial number `trial` (from 0, in the order of their first reports) at `epoch` (from 1)."""

    def __init__(self, trial: int, epoch: int):
        self.trial, self.epoch = trial, epoch
        self.seen: list[str] = []

    def assess_trial(self, trial_job_id, trial_history):
        if trial_job_id not in self.seen:
            self.seen.append(trial_job_id)
        chosen = self.seen.index(trial_job_id) == self.trial
        return AssessResult.Bad if chosen and len(trial_history) >= self.epoch else AssessResult.Good
