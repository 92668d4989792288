"""Searches without NNI's manager, for tests: spaces, a search that is played, what its study says."""

import math

import pytest

nni = pytest.importorskip("nni")

from tuners.search import Search  # noqa: E402
from tuners.study import journal_of  # noqa: E402

SPACE = {
    "model": {"_type": "choice", "_value": ["a", "b", "c"]},
    "lr": {"_type": "loguniform", "_value": [0.0001, 0.01]},
    "loss": {
        "_type": "choice",
        "_value": [{"_name": "focal", "gamma": {"_type": "uniform", "_value": [1, 3]}}, {"_name": "plain"}],
    },
}
CHOICES = {"model": SPACE["model"], "size": {"_type": "choice", "_value": [32, 64]}}
FLAT = {"lr": SPACE["lr"], "momentum": {"_type": "uniform", "_value": [0, 1]}}


def search(space=SPACE, **arguments):
    made = Search(**arguments)
    made.update_search_space(space)
    return made


def release(study):
    journal_of(study).close()


def again(made, space=SPACE, **arguments):
    """The search as after the end of its process."""
    release(made.study)
    return search(space, **arguments)


def states(made):
    return [trial.state.name for trial in made.study.get_trials(deepcopy=False)]


def chosen_by(made):
    return [trial.user_attrs.get("chosen_by") for trial in made.study.get_trials(deepcopy=False)]


def approximately(point):
    return {**point, "lr": pytest.approx(point["lr"])}


def played(made, count, start=0):
    points = []
    for i in range(start, start + count):
        points.append(made.generate_parameters(i))
        made.receive_trial_result(i, points[-1], {"default": -abs(math.log(points[-1]["lr"] / 0.003))})
        made.trial_end(i, True)
    return points
