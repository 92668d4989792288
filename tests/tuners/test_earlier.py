"""What the run folders of earlier experiments say about recipes of another space."""

import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from tuners.earlier import Earlier, read_earlier
from tuners.errors import UsageError
from tuners.model.sampler import GaussianProcessSampler
from tuners.spaces.space import Space

SPACE = {
    "x": {"_type": "uniform", "_value": [0, 1]},
    "lr": {"_type": "loguniform", "_value": [0.001, 0.1]},
    "loss": {
        "_type": "choice",
        "_value": [{"_name": "plain"}, {"_name": "focal", "gamma": {"_type": "uniform", "_value": [1, 3]}}],
    },
}
EPOCHS = 8


def recipe(x=0.5, lr=0.01, loss=None, **others):
    return {"x": x, "lr": lr, "loss": loss or {"_name": "plain"}, "seed": 3, **others}


def run(folder, name, recipe, curve, state="done", **status):
    """A run folder as trial/run_folder/record.py writes it, its curve by two folds."""
    place = folder / "trials" / name
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps(recipe))
    status |= {"state": state, "metric": "log_loss", "epochs": len(curve), "score": max(curve, default=None)}
    (place / "status.json").write_text(json.dumps(status))
    rows = [
        f"{fold},{epoch},{score + sign * 0.01}"
        for epoch, score in enumerate(curve, 1)
        for fold, sign in enumerate((-1, 1))
    ]
    (place / "epochs.csv").write_text("\n".join(["fold,epoch,negative_log_loss", *rows]) + "\n")


def rising(final, epochs=EPOCHS):
    return [final * (epoch + 1) / EPOCHS for epoch in range(epochs)]


def scores_of(found):
    return {params["x"]: (score, doubt) for params, score, doubt in
            zip(found.params, found.scores, found.doubts, strict=True)}  # fmt: skip


def test_paused_recipes_rank_by_what_their_curves_lead_to(tmp_path):
    """Seven finished ones that were better all along are above ten that were paused, not below their own
    middle."""
    for number in range(7):
        run(tmp_path, f"f{number}", recipe(x=0.1 * number), rising(0.6 + 0.01 * number))
    for number in range(10):
        part = 2 if number % 2 else 4
        run(tmp_path, f"p{number}", recipe(x=0.75 + 0.02 * number), rising(0.3, part), "interrupted")
    found, notes = read_earlier([tmp_path], SPACE)
    scores = scores_of(found)
    assert len(scores) == 17
    worst = scores[0.0]
    assert worst[0] > 0.1, "it is seventh of seventeen"
    assert all(scores[x][0] < worst[0] for x in scores if x > 0.7)
    assert all((doubt > 0) == (x > 0.7) for x, (_, doubt) in scores.items())
    assert "7 of its 7 finished and 10 of its 10 paused or stopped recipes fit this space" in notes[0]


def test_a_paused_recipe_that_was_ahead_of_finished_ones_ranks_above_them(tmp_path):
    for number in range(6):
        run(tmp_path, f"f{number}", recipe(x=0.1 * number), rising(0.3 + 0.02 * number))
    run(tmp_path, "p", recipe(x=0.9), rising(0.8, 4), "interrupted")
    scores = scores_of(read_earlier([tmp_path], SPACE)[0])
    assert scores[0.9][0] == max(score for score, _ in scores.values())


def test_one_training_that_diverged_leaves_the_ranks_of_paused_ones_as_they_are(tmp_path):
    """A log loss has no lower end."""
    for number, x in enumerate(np.linspace(0, 0.9, 28)):
        curve = [-0.5 - x - 0.2 * (EPOCHS - epoch) for epoch in range(1, EPOCHS + 1)]
        if number % 4:
            run(tmp_path, f"t{number}", recipe(x=x), curve[:2], "interrupted")
        else:
            run(tmp_path, f"t{number}", recipe(x=x), curve)
    run(tmp_path, "diverged", recipe(x=1), [-2.0 * 4**epoch for epoch in range(EPOCHS)])
    scores = [score for _, (score, _) in sorted(scores_of(read_earlier([tmp_path], SPACE)[0]).items())]
    assert np.argmin(scores) == 28
    assert spearmanr(scores, range(29)).statistic < -0.95, "as their curves lie"


def test_a_recipe_that_went_on_counts_once_and_failed_ones_are_said(tmp_path):
    for number in range(4):
        run(tmp_path, f"f{number}", recipe(x=0.1 * number), rising(0.3 + 0.1 * number))
    run(tmp_path, "begun", recipe(x=0.9), rising(0.5, 2), "interrupted")
    run(tmp_path, "went_on", recipe(x=0.9), rising(0.5), parent="begun")
    run(tmp_path, "failed", recipe(x=0.8), rising(0.5, 3), "failed")
    run(tmp_path, "empty", recipe(x=0.7), [], "running")
    found, (note,) = read_earlier([tmp_path], SPACE)
    assert sorted(params["x"] for params in found.params) == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.9])
    assert set(found.doubts) == {0.0}
    assert note.endswith(
        "5 of its 5 finished and 0 of its 0 paused or stopped recipes fit this space; 1 that failed is left out"
    )


def test_folds_one_by_one_are_no_curve(tmp_path):
    folds = {"fold": "all", "fold_order": "one_by_one"}
    for number in range(4):
        run(tmp_path, f"f{number}", recipe(x=0.1 * number, **folds), rising(0.3 + 0.1 * number))
    run(tmp_path, "dropped", recipe(x=0.9, **folds), rising(0.5, 2), "interrupted")
    found, (note,) = read_earlier([tmp_path], SPACE)
    assert 0.9 not in scores_of(found)
    assert note.endswith("fit this space; 1 without all of its folds is left out")


def test_one_with_too_few_trials_tells_nothing_and_says_so(tmp_path):
    for name, trials in (("few", 3), ("enough", 4)):
        for number in range(trials):
            run(tmp_path / name, f"f{number}", recipe(x=0.1 * number), rising(0.3 + 0.1 * number))
    found, notes = read_earlier([tmp_path / "few", tmp_path / "enough"], SPACE)
    assert len(found.params) == 4
    assert [note.endswith("; it tells nothing with fewer than 4") for note in notes] == [True, False]


OUTSIDE = {
    "number": ({"lr": 1.0}, "lr", 1.5),
    "number in an option": ({"loss": {"_name": "focal", "gamma": 4.0}}, "loss.focal.gamma", 1.5),
    "option": ({"loss": {"_name": "hinge", "margin": 1.0}}, "loss", -1.0),
}


@pytest.mark.parametrize(("values", "name", "position"), OUTSIDE.values(), ids=OUTSIDE)
def test_one_value_outside_the_space_lies_as_far_away_as_it_is(tmp_path, values, name, position):
    for number in range(5):
        run(tmp_path, f"f{number}", recipe(x=0.2 * number, **values), rising(0.3 + 0.1 * number))
    run(tmp_path, "two", recipe(x=2.0, **values), rising(0.9))
    found, (note,) = read_earlier([tmp_path], SPACE)
    space = Space(SPACE)
    column = [parameter.name for parameter in space.parameters].index(name)
    assert [space.places(params)[column] for params in found.params] == pytest.approx([position] * 5)
    assert (
        "5 of its 6 finished and 0 of its 0 paused or stopped recipes fit this space, 5 of them but for one value"
        in note
    )
    again = Earlier(**json.loads(json.dumps(found.to_json())))
    assert again == found


@pytest.mark.parametrize("values", [one[0] for one in OUTSIDE.values()], ids=OUTSIDE)
def test_a_search_learns_from_them_and_suggests_nothing_outside(tmp_path, values):
    import optuna

    for number in range(12):
        x = number / 11
        run(
            tmp_path,
            f"f{number}",
            recipe(x=x, lr=values.get("lr", 0.001 * 1.5**number), loss=values.get("loss")),
            rising(0.9 - (x - 0.8) ** 2),
        )
    found, _ = read_earlier([tmp_path], SPACE)
    space = Space(SPACE)
    sampler = GaussianProcessSampler(space, 0)
    sampler.learn_earlier(found.params, found.scores, found.doubts)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    drawn = []
    for _ in range(6):
        trial = study.ask()
        space.ask(trial)
        assert space.holds(trial.params)
        drawn.append(trial.params["x"])
        study.tell(trial, 0.9 - (trial.params["x"] - 0.8) ** 2)
    assert np.mean([abs(x - 0.8) < 0.25 for x in drawn]) >= 0.8, "x=.8 was best there"


def test_a_space_of_one_field_shares_nothing_with_values_outside_it(tmp_path):
    for number in range(5):
        run(tmp_path, f"f{number}", recipe(x=2.0 + number), rising(0.3 + 0.1 * number))
    with pytest.raises(UsageError, match="shares nothing with the earlier experiments"):
        read_earlier([tmp_path], {"x": SPACE["x"]})


def test_what_a_study_of_an_earlier_version_kept_is_read():
    kept = Earlier(params=[{"x": 0.1}], scores=[0.5])
    assert kept.doubts == []
