"""Earlier experiments: a search that begins where they were good."""

import json
import math

import pytest

from tuners.errors import UsageError

nni = pytest.importorskip("nni")

from tests.tuners.searching import (  # noqa: E402
    FLAT,
    chosen_by,
    played,
    release,
    search,
    states,
)


def earlier_experiment(folder, runs):
    for number, (config, score) in enumerate(runs):
        run = folder / "trials" / f"t{number}"
        run.mkdir(parents=True)
        (run / "config.json").write_text(json.dumps(config))
        (run / "status.json").write_text(json.dumps({"state": "done", "score": score}))


@pytest.fixture
def earlier(tmp_path, monkeypatch):
    """Experiments of other spaces and other data, in which model b and a rate of .003 were best."""
    monkeypatch.setattr("tuners.earlier.PROJECT", tmp_path)
    runs = [
        ({"model": model, "lr": lr, "loss": {"_name": "focal", "gamma": 2.0, "more": 1}, "epochs": 3},
         10 * (model == "b") - abs(math.log(lr / 0.003)))
        for model in ("a", "b", "c", "d")
        for lr in (0.0002, 0.001, 0.003, 0.008, 0.5)
    ]  # fmt: skip
    earlier_experiment(tmp_path / "before", runs)
    return tmp_path / "before"


def test_a_warm_start_begins_where_earlier_experiments_were_good(earlier, fake, caplog):
    caplog.set_level("INFO")
    made = search(warm_start=["before"])
    points = played(made, 2)
    assert points[1]["model"] == "b"
    assert 0.001 < points[1]["lr"] < 0.008
    assert chosen_by(made)[1] == "model"
    assert (
        "before: 19 of its 20 finished and 0 of its 0 paused or stopped recipes fit this space, 7 of them but "
        "for one value"
    ) in caplog.text
    assert states(made) == ["COMPLETE"] * 2, "earlier trials are not among the study's"


def test_a_resumed_warm_start_needs_the_earlier_experiment_no_more(earlier, fake):
    made = search(warm_start=["before"])
    played(made, 2)
    release(made.study)
    (earlier / "trials").rename(earlier / "other")
    (earlier / "trials").mkdir()
    (earlier / "trials").rmdir()
    made = search(warm_start=["before"])
    played(made, 1, start=2)
    assert chosen_by(made)[2] == "model"


def test_its_ranks_do_not_hold_against_its_own_results(earlier):
    """Earlier experiments are a prior: with results that say otherwise, the search goes where these are
    good."""
    made = search(warm_start=["before"])
    for i in range(25):
        point = made.generate_parameters(i)
        made.receive_trial_result(
            i, point, 0.5 + 0.3 * (point["model"] == "a") - 0.1 * (point["loss"]["_name"] == "focal")
        )
    last = [trial.params["model"] for trial in made.study.trials[15:]]
    assert last.count("a") >= 7


def test_spaces_that_share_nothing(earlier):
    with pytest.raises(
        UsageError, match=r"shares nothing with the earlier experiments \(before: 0 of its 20"
    ):
        search({"momentum": FLAT["momentum"]}, warm_start=["before"])
    same = {"epochs": {"_type": "choice", "_value": [3, 5]}}
    with pytest.raises(UsageError, match="shares nothing"):
        search(same, warm_start=["before"])
