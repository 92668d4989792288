"""Studies of Optuna that a sampler plays, for tests: a space with a nested choice, and a score in it."""

import numpy as np
import optuna
from optuna.trial import TrialState

from tuners.spaces.space import Space

optuna.logging.set_verbosity(optuna.logging.ERROR)


def spec(kind, *values):
    return {"_type": kind, "_value": list(values)}


NNI_SPACE = {
    "model": spec("choice", "small", "large"),
    "lr": spec("loguniform", 0.0001, 0.1),
    "loss": spec(
        "choice",
        {"_name": "plain"},
        {"_name": "focal", "gamma": spec("uniform", 0, 4), "alpha": spec("uniform", 0, 1)},
    ),
    "batch": spec("choice", 8, 16, 32, 64),
}
SPACE = Space(NNI_SPACE)


def score(params):
    """Best .8: the large model at lr .01, focal with gamma 3 and alpha .3; several options away from the default."""
    loss = 0.0
    if params["loss"] == "focal":
        loss = 0.08 - 0.02 * abs(params["loss.focal.gamma"] - 3) - 0.1 * abs(params["loss.focal.alpha"] - 0.3)
    return 0.67 + 0.05 * (params["model"] == "large") + loss - 0.1 * np.log10(params["lr"] / 0.01) ** 2


def study_of(chosen, default=None, **arguments):
    study = optuna.create_study(direction="maximize", sampler=chosen, **arguments)
    if default:
        study.enqueue_trial(default)
    return study


def search(chosen, trials, space=SPACE, value=score, fails=lambda params: False, noise=0.005, **arguments):
    study = study_of(chosen, **arguments)
    rng = np.random.default_rng(0)
    for _ in range(trials):
        trial = study.ask()
        space.ask(trial)
        if fails(trial.params):
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, value(trial.params) + noise * rng.standard_normal())
    return study


def params_of(study):
    return [trial.params for trial in study.trials]
