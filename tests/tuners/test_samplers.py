import numpy as np
import optuna
import pytest

from tests.tuners.studies import SPACE, params_of, search, spec
from tuners.samplers import SAMPLERS, sampler
from tuners.spaces.space import Space

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def drawn_independently(chosen, monkeypatch):
    """Names of the parameters that are drawn without regard to the others, after 30 random trials."""
    names, own = set(), chosen.sample_independent

    def note(study, trial, name, distribution):
        if trial.number >= 30:
            names.add(name)
        return own(study, trial, name, distribution)

    monkeypatch.setattr(chosen, "sample_independent", note)
    search(chosen, 60)
    return names


def test_tpe_draws_nested_parameters_together(monkeypatch):
    assert drawn_independently(sampler("tpe", SPACE, seed=0), monkeypatch) == set()
    ungrouped = optuna.samplers.TPESampler(seed=0, multivariate=True, group=False)
    assert drawn_independently(ungrouped, monkeypatch) == {"loss.focal.gamma", "loss.focal.alpha"}


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_searches(name):
    space = Space({"a": spec("quniform", 0, 1, 0.25), "b": spec("randint", 1, 5)})
    study = search(sampler(name, space, seed=0), 12, space, lambda params: params["a"] - 0.1 * params["b"])
    assert all(space.holds(params) for params in params_of(study))
    assert study.best_value > (0.3 if name == "grid" else 0.6)  # the grid has not come to the best yet


@pytest.mark.parametrize("name", ["optuna_gp", "cma_es"])
def test_what_draws_nested_parameters_at_random_is_refused(name):
    with pytest.raises(
        ValueError, match=r"at random, for ever.*loss\.focal\.gamma.*use gaussian_process or tpe"
    ):
        sampler(name, SPACE)


NORMAL = Space({"a": spec("normal", 0.3, 0.1), "b": spec("qlognormal", 0, 0.5, 0.5)})


@pytest.mark.parametrize("name", ["random", "gaussian_process"])
def test_normal_ranges_are_drawn_as_such(name):
    space = Space({"a": spec("normal", 0.3, 0.1)})
    study = search(sampler(name, space, seed=0), 200 if name == "random" else 3, space, lambda params: 0.5)
    if name == "random":
        assert np.std([params["a"] for params in params_of(study)]) == pytest.approx(0.1, rel=0.15)


def test_random_draws_the_probable_values_of_a_grid_more_often():
    drawn = [
        params["b"]
        for params in params_of(search(sampler("random", NORMAL, seed=0), 300, NORMAL, lambda _: 0.5))
    ]
    assert np.mean(drawn) == pytest.approx(1.13, abs=0.1), "2.3 if all values were alike"


@pytest.mark.parametrize("name", ["tpe", "optuna_gp", "cma_es"])
def test_what_draws_normal_ranges_evenly_is_refused(name):
    with pytest.raises(ValueError, match=f"sampler {name}: it takes a normal range .* has a, b; use gauss"):
        sampler(name, NORMAL)


CHOSEN_AMONG = {"names": ("a", "b", "c"), "numbers": (0.001, 0.01, 0.1)}


@pytest.mark.parametrize("options", CHOSEN_AMONG.values(), ids=CHOSEN_AMONG)
def test_cma_es_refuses_choices(options):
    space = Space({"x": spec("uniform", 0, 1), "rate": spec("choice", *options)})
    with pytest.raises(ValueError, match=r"cma_es: it draws choices, of numbers too.* has rate; use gauss"):
        sampler("cma_es", space)
    sampler("optuna_gp", space)
    sampler("cma_es", Space({"x": spec("uniform", 0, 1), "one": spec("choice", options[0])}))


def test_cma_es_would_have_drawn_choices_at_random():
    """The reason of the refusal: a rate that decides alone is drawn as at the start."""
    space = Space({"x": spec("uniform", 0, 1), "y": spec("uniform", 0, 1), "rate": spec("choice", 1, 2, 3)})
    chosen = optuna.samplers.CmaEsSampler(seed=0, warn_independent_sampling=False)
    study = search(chosen, 40, space, lambda params: params["rate"] == 2, noise=0)
    assert sum(params["rate"] == 2 for params in params_of(study)[20:]) < 13  # all 20, if it had learned


@pytest.mark.slow
def test_optunas_process_would_have_drawn_them_at_random():
    """The reason of the refusal: even when gamma decides alone, it is drawn as before."""
    chosen = optuna.samplers.GPSampler(seed=0, n_startup_trials=5, warn_independent_sampling=False)
    study = search(chosen, 16, value=lambda p: -abs(p.get("loss.focal.gamma", 9) - 3.9), noise=0)
    gammas = [p["loss.focal.gamma"] for p in params_of(study)[5:] if p["loss"] == "focal"]
    assert np.mean(np.array(gammas) > 3.4) < 0.4  # all, if it had learned


def test_an_unknown_sampler():
    with pytest.raises(
        ValueError, match=r"unknown sampler 'gausian_process'; did you mean gaussian_process\?"
    ):
        sampler("gausian_process", SPACE)
    with pytest.raises(
        ValueError, match="unknown sampler 'x'; known: gaussian_process, tpe, random, grid, cma_es, optuna_gp"
    ):
        sampler("x", SPACE)


def test_the_grid_is_walked_once():
    space = Space(
        {
            "loss": spec("choice", {"_name": "a", "k": spec("choice", 1, 2)}, {"_name": "b"}),
            "n": spec("randint", 0, 2),
        }
    )
    study = search(sampler("grid", space), 5, space, lambda params: params["n"])
    trial = study.ask()
    space.ask(trial)
    assert params_of(study) == list(space.grid())
    with pytest.raises(ValueError, match=r"lr, loss\.focal\.gamma, loss\.focal\.alpha: a continuous range"):
        sampler("grid", SPACE)
