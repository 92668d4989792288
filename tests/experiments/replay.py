"""A recorded search, and its state at any second."""

import json
from datetime import datetime
from pathlib import Path

from experiments.estimate import Forecast, Trial, workload_of, workloads_in
from trial.config import parse

RECORDED = Path(__file__).with_name("recorded_demo.json")


class Replay:
    """The demo's search: eight trials, two at a time."""

    def __init__(self):
        recorded = json.loads(RECORDED.read_text())
        self.space, self.fixed, self.trials = recorded["space"], recorded["fixed"], recorded["trials"]
        begun = [self._time(trial["started"]) for trial in self.trials]
        self.start = min(begun)
        self.length = max(self._time(trial["ended"]) for trial in self.trials) - self.start

    @staticmethod
    def _time(text: str) -> float:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp()

    def at(self, second: float) -> list[Trial]:
        seen = []
        for trial in self.trials:
            began = self._time(trial["started"]) - self.start
            if began > second:
                continue
            end = self._time(trial["ended"]) - self.start
            config = parse({**{key: trial[key] for key in ("model", "image_size", "epochs")}}, present=False)
            # The time outside of epochs lies before the first one.
            at, done = max(end - sum(trial["epoch_seconds"]), began), []
            for seconds in trial["epoch_seconds"]:
                at += seconds
                if at > second:
                    break
                done.append(seconds)
            ended = end <= second
            age = (end if ended else second) - began
            seen.append(Trial(workload_of(config), ended, age, sum(done), len(done)))
        return seen

    def forecast(self, **more) -> Forecast:
        return Forecast(workloads_in(self.space, self.fixed), 2, assessed=True, **more)

    def left(self, second: float, forecast: Forecast) -> float | None:
        """The remaining seconds that `forecast` estimates at `second`."""
        seen = self.at(second)
        return forecast.seconds_left(seen, len(self.trials) - len(seen), second)
