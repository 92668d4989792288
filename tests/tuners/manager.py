"""NNI's manager as a search that pauses trials sees it, played for tests, and what a test has it do."""

import json

import pytest

pytest.importorskip("nni")
from nni.assessor import AssessResult

from tests.tuners.read_back import read_back
from tuners.search import PauseAndGoOn, Search
from tuners.study import journal_of

SPACE = {
    "x": {"_type": "uniform", "_value": [0, 1]},
    "kind": {"_type": "choice", "_value": ["a", "b"]},
}
EPOCHS = 8


def final(point):
    """Half of all recipes are bad, which shows at once."""
    return (0.9 if point["kind"] == "a" else 0.5) - (point["x"] - 0.3) ** 2


class Manager:
    """Runs one trial after the other. A trial that goes on reports its parent's epochs again first, and one
    that is stopped trains an epoch more before its process ends."""

    def __init__(self, fake, space=SPACE, **arguments):
        self.fake, self.space, self.arguments = fake, space, arguments
        self.points: dict[str, dict] = {}
        self.epochs: dict[str, int] = {}  # trained, with those of the parents
        self.asked = 0
        self.start()

    def start(self):
        self.search = Search(seed=1, **self.arguments)
        self.assessor = PauseAndGoOn()
        self.search.update_search_space(self.space)

    def resume(self, **arguments):
        journal_of(self.search.study).close()
        self.arguments |= arguments
        self.start()

    def ask(self):
        """The name of a trial that the search suggests, and that has not begun."""
        number, self.asked = self.asked, self.asked + 1
        self.points[f"t{number}"] = self.search.generate_parameters(number)
        return f"t{number}"

    def launch(self, name):
        self.fake.begin(name, int(name[1:]), self.points[name])
        run = self.fake.folder / "trials" / name
        run.mkdir()
        (run / "config.json").write_text(json.dumps({"epochs": EPOCHS}))
        self.epochs[name] = 0

    def begin(self):
        name = self.ask()
        self.launch(name)
        return name

    def train(self, name, until=EPOCHS, hears=True):
        """Whether it was stopped."""
        point = self.points[name]
        first = self.epochs.get(point.get("parent"), 0)
        stopped = False
        for epoch in range(self.epochs[name], until):
            self.fake.report(name, self.score(point, epoch), first=epoch)
            self.epochs[name] = epoch + 1
            if stopped:
                break
            history = [{"default": self.score(point, past)} for past in range(epoch + 1)]
            if hears and self.assessor.assess_trial(name, history) is AssessResult.Bad:
                assert epoch >= first, "it heard of this epoch before"
                stopped = True
        return stopped

    def score(self, point, epoch):
        return final(point) * (epoch + 1) / EPOCHS

    def end(self, name, event):
        self.fake.event(name, event)
        number = int(name[1:])
        if event == "SUCCEEDED":
            self.fake.result(name, final(self.points[name]))
            self.search.receive_trial_result(number, self.points[name], final(self.points[name]))
        self.search.trial_end(number, event == "SUCCEEDED")

    def run(self, count=1):
        for _ in range(count):
            name = self.begin()
            stopped = self.train(name)
            self.end(name, "EARLY_STOPPED" if stopped else "SUCCEEDED")
        return name

    def run_until(self, reached):
        for _ in range(60):
            name = self.run()
            if reached():
                return name
        raise AssertionError(f"not reached: {self.rows()}")

    def rows(self, state=None):
        return [row for row in read_back(self.fake.folder) if state in (None, row.state)]


def asked_to_go_on(manager):
    """A trial that is to go on, and has not begun."""
    for _ in range(60):
        name = manager.ask()
        if "parent" in manager.points[name]:
            return name
        manager.launch(name)
        manager.end(name, "EARLY_STOPPED" if manager.train(name) else "SUCCEEDED")
    raise AssertionError(f"none went on: {manager.rows()}")


def going_on(manager):
    """A trial that goes on, just begun."""
    name = asked_to_go_on(manager)
    manager.launch(name)
    return name


def interrupt(manager, name, epochs):
    """The system ends the trial after these epochs, and NNI calls it failed."""
    manager.train(name, until=epochs, hears=False)
    (manager.fake.folder / "trials" / name / "status.json").write_text('{"state": "interrupted"}')
    manager.end(name, "FAILED")


def spent(manager):
    """Whole trainings' worth of epochs that were trained."""
    first = {name: manager.epochs.get(point.get("parent"), 0) for name, point in manager.points.items()}
    return sum(epochs - first[name] for name, epochs in manager.epochs.items()) / EPOCHS
