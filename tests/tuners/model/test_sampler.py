import json
import time

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from common.machine import PROJECT
from tests.tuners.studies import NNI_SPACE, SPACE, params_of, score, search, spec, study_of
from tuners.model.sampler import CHOSEN, EPOCHS, IMPROVEMENT, PREDICTED, SECONDS, GaussianProcessSampler
from tuners.model.surrogate import Surrogate
from tuners.samplers import sampler
from tuners.spaces.default_point import default_point
from tuners.spaces.space import Space

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
DEFAULT = SPACE.params(default_point(NNI_SPACE))
FLAT = Space({"a": spec("uniform", 0, 1), "b": spec("loguniform", 0.01, 1)})


def ours(trials, seed=0, **arguments):
    """A study of the space's default and what our sampler tries after it."""
    return search(GaussianProcessSampler(SPACE, seed), trials, default=DEFAULT, **arguments)


@pytest.mark.slow
def test_it_finds_the_good_recipe_in_a_fraction_of_randoms_trials():
    def trials_needed(name, most):
        needed = []
        for seed in range(6):
            study = search(sampler(name, SPACE, seed), most, default=DEFAULT)
            found = [score(params) > 0.78 for params in params_of(study)]
            needed.append(found.index(True) if any(found) else most)
        return np.mean(needed)

    assert trials_needed("gaussian_process", 40) < 0.2 * trials_needed("random", 250)


def test_the_start_is_the_default_and_then_far_from_it():
    study = ours(5)
    assert study.trials[0].params == DEFAULT
    assert [trial.user_attrs[CHOSEN] for trial in study.trials[1:]] == [*["farthest"] * 2, *["model"] * 2]
    first, second = study.trials[1].params, study.trials[2].params
    assert first["model"] != DEFAULT["model"]
    assert first["loss"] != DEFAULT["loss"]
    assert first != second
    mean, deviation = study.trials[3].user_attrs[PREDICTED]
    assert 0.2 < mean < 0.9
    assert 0 < deviation < 0.3


def test_inactive_parameters_are_never_drawn():
    for trial in ours(25).trials:
        assert SPACE.holds(trial.params)
        assert ("loss.focal.gamma" in trial.params) == (trial.params["loss"] == "focal")


def test_scores_that_differ_by_little_are_searched_as_those_that_differ_by_much():
    """Heads on frozen features differ by .01 where networks differ by .1, and a log loss by 1."""
    large = ours(12, noise=0)
    small = ours(12, value=lambda params: score(params) / 64, noise=0)
    assert params_of(small) == params_of(large)
    for ours_, theirs in zip(small.trials[4:], large.trials[4:], strict=True):
        predicted = np.array([*ours_.user_attrs[PREDICTED], ours_.user_attrs[IMPROVEMENT]])
        assert 64 * predicted == pytest.approx(
            [*theirs.user_attrs[PREDICTED], theirs.user_attrs[IMPROVEMENT]]
        )


def test_same_seed_same_suggestions():
    assert params_of(ours(12, 1)) == params_of(ours(12, 1))
    assert params_of(ours(12, 1)) != params_of(ours(12, 2))


@pytest.mark.slow
def test_a_restart_changes_no_suggestion(tmp_path):
    """A new process has no fitted kernel and no random state of the last one."""
    whole = ours(13, 3)
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    ours(9, 3, study_name="x", storage=storage)
    resumed = optuna.load_study(study_name="x", storage=storage, sampler=GaussianProcessSampler(SPACE, 3))
    rng = np.random.default_rng(0)
    rng.standard_normal(9)
    for _ in range(4):
        trial = resumed.ask()
        SPACE.ask(trial)
        resumed.tell(trial, score(trial.params) + 0.005 * rng.standard_normal())
    assert [
        p == pytest.approx(q)
        for p, q in zip(map(_numbers, resumed.trials), map(_numbers, whole.trials), strict=True)
    ]
    assert _numbers(resumed.trials[-1]) == pytest.approx(_numbers(whole.trials[-1]))


def _numbers(trial):
    return np.nan_to_num(SPACE.positions(trial.params), nan=-1)


# Failures


@pytest.mark.parametrize("seed", range(3))
def test_a_region_that_always_fails_is_left(seed):
    """Half of the space fails, and the score rises towards it."""
    study = ours(
        60,
        seed,
        value=lambda p: 0.5 + 0.1 * np.log10(p["lr"] / 0.0001),
        fails=lambda p: p["lr"] > 0.00316,
    )
    failed = [trial.state == TrialState.FAIL for trial in study.trials]
    # What is best lies at the border, which is sought; the region beyond it is left.
    assert np.mean([params["lr"] > 0.0045 for params in params_of(study)[-30:]]) < 0.15
    assert np.mean(failed[-30:]) < 0.5
    assert max(p["lr"] for p, f in zip(params_of(study), failed, strict=True) if not f) > 0.003


@pytest.mark.parametrize("seed", range(3))
def test_an_option_that_always_fails_is_left(seed):
    study = ours(40, seed, fails=lambda params: params["model"] == "large")
    assert sum(params["model"] == "large" for params in params_of(study)[10:]) <= 3


@pytest.mark.parametrize("seed", range(3))
def test_one_failure_does_not_ban_an_option(seed):
    """The first trial of the better model fails by chance."""
    seen = []

    def fails(params):
        seen.append(params["model"])
        return params["model"] == "large" and seen.count("large") == 1

    study = ours(40, seed, fails=fails)
    assert sum(trial.state == TrialState.FAIL for trial in study.trials) == 1
    assert sum(params["model"] == "large" for params in params_of(study)[-15:]) >= 8


# Stopped trials


def test_a_stopped_trial_counts_with_the_final_score_of_its_curve():
    study = study_of(GaussianProcessSampler(SPACE), DEFAULT)

    def run(final, epochs, seconds=None):
        trial = study.ask()
        SPACE.ask(trial)
        for epoch in range(epochs):
            trial.report(final * (epoch + 1) / 8 - 0.1 * (epoch < 7), epoch)
        if seconds:
            trial.set_user_attr(SECONDS, seconds)
        if epochs == 8:
            study.tell(trial, final)
        else:
            study.tell(trial, state=TrialState.PRUNED)

    for final in (0.5, 0.55, 0.6, 0.65, 0.7):
        run(final, 8, 80.0)
    run(0.62, 3, 30.0)
    evidence = study.sampler.evidence(study)
    assert list(evidence.finished) == [True] * 5 + [False]
    unit = evidence.unit
    assert unit * evidence.scores[-1] == pytest.approx(0.62, abs=0.02)  # not .13, its score so far
    assert 0 < unit**2 * evidence.noise[-1] < 0.03
    assert evidence.seconds == pytest.approx(np.full(6, 80))  # of a whole training
    mean, _ = Surrogate(SPACE, evidence, study.sampler._kernels).predict(evidence.recipes[-1:])
    assert unit * mean[0] > 0.45
    SPACE.ask(study.ask())
    assert study.trials[-1].user_attrs[CHOSEN] == "model"


def test_a_stopped_trial_that_was_gone_on_with_counts_once():
    study = ours(5)
    params = study.trials[-1].params | {"batch": 64}
    for state in (TrialState.PRUNED, TrialState.PRUNED, TrialState.COMPLETE):
        study.enqueue_trial(params)
        trial = study.ask()
        SPACE.ask(trial)
        trial.report(0.4, 1)
        assert len(study.sampler.evidence(study).recipes) == 6, "what it reported so far counts"
        study.tell(trial, 0.7 if state == TrialState.COMPLETE else None, state=state)
    evidence = study.sampler.evidence(study)
    assert len(evidence.recipes) == 6
    assert evidence.unit * evidence.scores[-1] == pytest.approx(0.7)


def test_a_trial_stopped_without_a_curve_is_no_error():
    study = ours(5)
    trial = study.ask()
    SPACE.ask(trial)
    study.tell(trial, state=TrialState.PRUNED)
    assert len(study.sampler.evidence(study).recipes) == 5
    SPACE.ask(study.ask())


# Parallel trials, enqueued ones, and those of another space


def test_parallel_trials_differ():
    study = ours(8)
    trials = [study.ask() for _ in range(6)]
    for trial in trials:
        SPACE.ask(trial)
    rows = np.nan_to_num([SPACE.positions(trial.params) for trial in trials], nan=-1)
    distances = np.abs(rows[:, None] - rows).max(2) + np.eye(6)
    assert distances.min() > 0.02
    assert len(study.sampler.evidence(study).running) == 6


def test_an_enqueued_recipe_comes_first_and_what_it_leaves_open_is_drawn():
    study = study_of(GaussianProcessSampler(SPACE), default={"loss": "focal", "lr": 0.001})
    trial = study.ask()
    SPACE.ask(trial)
    assert trial.params["loss"] == "focal"
    assert trial.params["lr"] == 0.001
    assert 0 <= trial.params["loss.focal.gamma"] <= 4
    assert study.trials[-1].user_attrs[CHOSEN] == "given"


def test_trials_without_a_whole_recipe_of_the_space_are_left_out():
    study = ours(4)
    study.add_trial(
        optuna.create_trial(params={"a": 0.5, "b": 0.1}, distributions=FLAT.distributions, value=0.9)
    )
    study.ask()  # running, without parameters yet
    evidence = study.sampler.evidence(study)
    assert len(evidence.recipes) == 4
    assert len(evidence.running) == 0


def test_no_recipe_of_choices_twice_before_all_were_tried():
    space = Space({"a": spec("choice", "x", "y", "z"), "b": spec("choice", 1, 2, 3)})
    study = search(GaussianProcessSampler(space), 9, space, lambda params: 0.1 * params["b"])
    assert len({tuple(params.values()) for params in params_of(study)}) == 9
    search(GaussianProcessSampler(space), 12, space, lambda params: 0.1 * params["b"])


def test_a_score_that_is_not_finite_counts_as_a_failure():
    study = ours(6)
    trial = study.ask()
    SPACE.ask(trial)
    study.tell(trial, float("-inf"))
    assert list(study.sampler.evidence(study).failed) == [False] * 6 + [True]
    SPACE.ask(study.ask())


@pytest.mark.parametrize("scale", [0.001, 1000])
def test_scores_of_another_scale(scale):
    study = ours(30, value=lambda params: scale * score(params), noise=0)
    assert max(score(params) for params in params_of(study)) > 0.75


def test_equal_scores_are_no_error():
    ours(10, value=lambda params: 0.5, noise=0)


# Costs


def test_the_cheap_recipe_comes_first_when_scores_are_alike():
    def share_of_small(factor):
        study = study_of(GaussianProcessSampler(SPACE), DEFAULT)
        for _ in range(25):
            trial = study.ask()
            SPACE.ask(trial)
            trial.set_user_attr(SECONDS, factor if trial.params["model"] == "large" else 1.0)
            study.tell(trial, score(trial.params) - 0.05 * (trial.params["model"] == "large"))
        return np.mean([params["model"] == "small" for params in params_of(study)[3:]])

    assert share_of_small(20.0) > share_of_small(1.0) + 0.1


def test_a_suggestion_is_made_anew_when_too_little_time_is_left_for_it():
    """Nothing else has changed since: the large model was worth more, and takes too long now."""
    study = study_of(GaussianProcessSampler(SPACE), DEFAULT)
    for _ in range(12):
        trial = study.ask()
        SPACE.ask(trial)
        trial.set_user_attr(SECONDS, 20.0 if trial.params["model"] == "large" else 10.0)
        study.tell(trial, score(trial.params) + 0.3 * (trial.params["model"] == "large"))
    (before,) = study.sampler.options(study, seconds=1e6)
    (now,) = study.sampler.options(study, seconds=14.0)
    assert SPACE.at(before.recipe)["model"] == "large"
    assert now.seconds < 14 < before.seconds
    trial = study.ask()
    SPACE.ask(trial)
    assert trial.params == SPACE.at(now.recipe), "what was weighed is what is handed out"


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_training_too_short_for_its_clock_has_an_unknown_cost():
    """Reports that NNI receives at once have one time; the logarithm of no seconds made every cost NaN."""
    study = study_of(GaussianProcessSampler(SPACE), DEFAULT)
    for number in range(6):
        trial = study.ask()
        SPACE.ask(trial)
        trial.set_user_attr(SECONDS, 10.0 if number < 5 else 0.0)
        if number < 5:
            study.tell(trial, score(trial.params))
    trial.report(0.3, 0)
    trial.report(0.4, 1)
    (option,) = study.sampler.options(study)
    assert 5 < option.seconds < 20


# Speed


@pytest.mark.slow
@pytest.mark.parametrize("paused", [0, 400])
def test_a_suggestion_takes_less_than_a_tenth_of_a_second_at_1000_trials(paused):
    """Paused ones are compared with the new one for each suggestion."""
    nni_space = json.loads((PROJECT / "search_spaces" / "full.json").read_text())
    space, rng = Space(nni_space), np.random.default_rng(0)
    sampler = GaussianProcessSampler(space)
    sampler.pauses = bool(paused)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for number in range(1000):
        params = space.at(space.draw(rng, 1)[0])
        distributions = {name: space[name].distribution for name in params}
        state = TrialState.FAIL if number % 10 == 0 else TrialState.COMPLETE
        epochs = 10 if state == TrialState.COMPLETE else 2
        if number % 10 and number > 1000 - paused * 10 / 9:
            state, epochs = TrialState.WAITING, int(rng.choice([3, 5, 8]))
        value = rng.normal(0.6, 0.05)
        curve = {epoch: value * (epoch + 1) / 10 + rng.normal(0, 0.01) for epoch in range(epochs)}
        study.add_trial(
            optuna.create_trial(
                params=params,
                distributions=distributions,
                value=value if state == TrialState.COMPLETE else None,
                state=state,
                intermediate_values=curve,
                user_attrs={SECONDS: 10.0 * epochs, EPOCHS: 10},
            )
        )
    seconds = []
    for _ in range(30):
        began = time.process_time()
        options = study.sampler.options(study)
        number = study._storage.create_new_trial(study._study_id)
        trial = optuna.Trial(study, number)
        space.ask(trial)
        seconds.append(time.process_time() - began)
        assert len(options) == 1 + paused
        study.tell(trial, 0.6)
    assert min(seconds) < 0.1, "as docs/searching.md promises; what runs beside the tests only adds to it"


# The study and its tools


def test_optunas_tools_read_the_study():
    study = ours(20)
    importance = optuna.importance.get_param_importances(study)
    assert {"model", "lr", "loss.focal.gamma"} <= importance.keys()
    assert max(importance, key=importance.get) in (
        "lr",
        "model",
        "loss.focal.gamma",
        "loss.focal.alpha",
        "loss",
    )
    table = study.trials_dataframe()
    assert len(table) == 20
    assert {"value", "state", "params_loss", "params_loss.focal.gamma", f"user_attrs_{CHOSEN}"} <= set(
        table.columns
    )
    figures = optuna.visualization
    for draw in (figures.plot_optimization_history, figures.plot_parallel_coordinate, figures.plot_slice):
        assert draw(study).data


def test_recipes_that_diverged_do_not_hide_how_the_others_differ():
    """A log loss has no lower end. Random recipes come within .1 of the best about once in 20."""
    space = Space({name: spec("uniform", 0, 1) for name in "xyz"})

    def value(params):
        loss = 0.5 + (params["x"] - 0.7) ** 2 + (params["y"] - 0.3) ** 2 + 0.6 * (params["z"] - 0.5) ** 2
        return -12.0 if params["x"] > 0.85 else -loss

    near = [
        [
            trial.value > -0.6
            for trial in search(GaussianProcessSampler(space, seed), 30, space, value).trials[15:]
        ]
        for seed in range(3)
    ]
    assert np.mean(near) > 0.3
