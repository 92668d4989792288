"""The measures of a comparison against a direct computation; rivals by their promises; generated tables."""

import json
import math

import numpy as np
import pytest
from nni.assessor import Assessor, AssessResult

from benchmarks.search import compare, generated
from benchmarks.search.__main__ import main
from benchmarks.search.compare import GRID, Job, Played, lines, share_of
from benchmarks.search.figure import regret_figure
from benchmarks.search.recorded import RecordedSearch, RecordedSpace
from benchmarks.search.rivals import METHODS, OURS, RIVALS, AfterFewEpochs, FewEpochsFirst, RandomOrder
from benchmarks.search.simulate import play
from common.errors import UsageError
from tuners.search import PauseAndGoOn
from tuners.spaces.space import Space

KINDS = list(generated.KINDS)


def played(method="random", reached=None, lost=0, table="crossing", regret=0.0) -> Played:
    grid = [regret] * len(GRID)
    return Played(Job(table, method, 1, 0), reached, grid, grid, lost, 4, 1)


def test_a_job_is_measured_as_a_direct_computation_measures_it():
    job = Job("early_reliable", "Optuna TPE", 2, 3, recipes=40)
    found = compare.play(job)
    curves = generated.generate("early_reliable", 3, 40)
    replay = play(curves, *METHODS["Optuna TPE"](curves, 3, 2), workers=2)
    total = curves.seconds.sum() - sum(
        curves.seconds[recipe, np.isnan(scores).argmax() + 1 :].sum()
        for recipe, scores in enumerate(curves.scores)
        if np.isnan(scores).any()
    )
    target = np.nanmax(curves.scores) - 0.01
    reached, regret = None, np.full(len(GRID), np.nanmax(curves.scores))
    for trial in replay.trials:
        spent = sum(max(0, min(other.end, trial.end) - other.start) for other in replay.trials) / total
        result = curves.scores[trial.recipe].max()  # nan if it failed
        if result >= target and reached is None:
            reached = spent
        if not math.isnan(result):
            regret = np.where(spent <= GRID, np.fmin(regret, np.nanmax(curves.scores) - result), regret)
    assert found.reached == pytest.approx(reached)
    seen = max(reached, compare.PLAYED) >= GRID
    assert np.array(found.regret)[seen] == pytest.approx(regret[seen], abs=2e-5)
    assert found.lost == 0


def test_a_part_of_the_recipes_is_the_same_for_every_method_and_another_in_each_repetition():
    jobs = [Job("crossing", method, 1, repetition, 40, part=0.5) for method, repetition in
            (("random", 3), ("Optuna TPE", 3), ("random", 13))]  # fmt: skip
    one, same, other = map(compare.curves_of, jobs)
    whole = generated.generate("crossing", 3, 40)
    assert one.points == same.points != other.points
    assert len(one.points) == 20
    assert one.points[one.default] == whole.points[whole.default]
    row = whole.points.index(one.points[7])
    np.testing.assert_array_equal(one.scores[7], whole.scores[row])


def test_two_workers_spend_the_whole_compute_too():
    curves = generated.generate("crossing", 0, 30)
    replay = play(curves, *METHODS["random"](curves, 0, 2), workers=2)
    assert replay.spent(math.inf) == pytest.approx(curves.compute)


def test_a_line_counts_searches_that_never_find_one_with_the_whole_compute():
    some = [played(reached=0.5), played(reached=0.3)]
    ours = [played("ours", 0.1, lost=2), played("ours", None), played("ours", 0.1), played("ours", 0.4)]
    _, line = lines([*some, *ours])
    assert line.compute == pytest.approx(0.4)
    assert line.share == pytest.approx(1.0)
    assert (line.never, line.lost, line.recipes_lost, line.repetitions) == (0.25, 0.25, 0.125, 4)
    assert line.missed == 0, "another one was finished in time"
    late, never = (played("ours", reached, lost=1) for reached in (compare.PLAYED + 0.1, None))
    assert lines([*some, *ours, late, never])[1].missed == pytest.approx(2 / 6)


def test_the_interval_holds_the_true_share_about_95_times_in_100():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        _, low, high = share_of(rng.exponential(0.2, 60), rng.exponential(0.5, 60), 300)
        inside += low <= 0.4 <= high
    assert 0.88 <= inside / 200 <= 0.99


def test_the_best_of_few_epochs_go_on_best_first():
    curves = generated.generate("early_reliable", 0, 12)
    search = METHODS["two epochs, then best 16"](curves, 0, 1)
    replay = play(curves, *search)
    short = [trial for trial in replay.trials if trial.first == 0]
    long = [trial for trial in replay.trials if trial.first]
    alive = [trial.recipe for trial in short if trial.outcome == "stopped"]
    assert len(short) == 12 and {trial.epochs for trial in long} == {curves.scores.shape[1]}
    assert [one.recipe for one in long if one.outcome == "finished"] == [
        recipe
        for recipe in sorted(alive, key=lambda recipe: -curves.scores[recipe, 1])
        if not np.isnan(curves.final[recipe]) and np.isfinite(curves.final[recipe])
    ]


def test_at_most_the_best_ones_go_on():
    curves = generated.generate("early_reliable", 0, 12)
    tuner = FewEpochsFirst(0, epochs=1, best=3)
    replay = play(curves, tuner, AfterFewEpochs(tuner))
    assert sum(trial.first == 1 for trial in replay.trials) == 3


SEEDED = [name for name in METHODS if "Syne" not in name and name != "Gaussian process, pauses, nearest"]


@pytest.mark.slow
@pytest.mark.parametrize("method", SEEDED)
def test_every_method_plays_the_same_twice_and_another_seed_otherwise(method):
    # More than the 60 random recipes of which the Gaussian process begins with the farthest.
    curves = generated.generate("late_noisy", 1, 200)

    def once(seed):
        return play(curves, *METHODS[method](curves, seed, 2), workers=2, trials=20).trials

    first = once(0)
    assert once(0) == first
    begun = [trial.recipe for trial in first if trial.first == 0]
    assert len(set(begun)) == len(begun)
    # Of the far recipes the Gaussian process finds the same with some seeds.
    assert any(once(seed) != first for seed in (1, 2, 3))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_search_that_pauses_keeps_to_its_trainings_and_finishes_what_it_begins(workers):
    curves = generated.generate("early_reliable", 2, 60)
    tuner = RecordedSearch(seed=0, default=curves.points[curves.default], trainings=12)
    replay = play(curves, tuner, PauseAndGoOn(), workers=workers)
    epochs = sum(trial.epochs - trial.first for trial in replay.trials)
    assert 11 * 8 - 6 < epochs <= 12 * 8 + 2, "a failure may cost more than was counted"
    assert sum(trial.first > 0 for trial in replay.trials) > 0, "some go on"
    last: dict[int, int] = {}
    for trial in sorted(replay.trials, key=lambda trial: trial.number):
        assert trial.first == last.get(trial.recipe, 0), "where it was paused"
        last[trial.recipe] = trial.epochs
    for trial in tuner.study.trials:
        if trial.state.name == "COMPLETE":
            assert len(trial.intermediate_values) == 8


@pytest.mark.parametrize("method", ["Optuna TPE", "Gaussian process", "Gaussian process, nearest"])
def test_models_are_told_the_recorded_recipes_with_their_results_costs_and_failures(method):
    curves = generated.generate("early_reliable", 1, 40)
    tuner, _ = METHODS[method](curves, 0, 2)
    replay = play(curves, tuner, workers=2)
    space = Space(curves.space)
    told = {trial.number: trial for trial in tuner.study.trials}
    assert "failed" in {trial.outcome for trial in replay.trials}
    for trial in replay.trials:
        study = told[trial.number]
        assert study.params == space.params(curves.points[trial.recipe])
        assert study.user_attrs["seconds"] == pytest.approx(trial.end - trial.start)
        if trial.outcome == "finished":
            assert study.value == curves.final[trial.recipe]
        else:
            assert study.state.name == "FAIL"


def test_our_search_is_told_the_recipes_to_which_its_suggestions_were_moved():
    curves = generated.generate("early_reliable", 1, 15)
    tuner, assessor = METHODS["Gaussian process, pauses, nearest"](curves, 0, 2)
    replay = play(curves, tuner, assessor, workers=2)
    space = Space(curves.space)
    recorded = [space.params(point) for point in curves.points]
    begun = [trial.recipe for trial in sorted(replay.trials, key=lambda one: one.number) if trial.first == 0]
    assert sorted(begun) == list(range(15)), "each was begun, and once"
    assert [trial.params for trial in tuner.study.trials] == [recorded[recipe] for recipe in begun]
    chosen = [trial.user_attrs["chosen_by"] for trial in tuner.study.trials]
    assert chosen[0] == "default" and chosen.count("model") >= 12


def test_nnis_tpe_is_told_the_recipes_to_which_its_suggestions_were_moved():
    curves = generated.generate("early_reliable", 1, 30)
    tuner, assessor = METHODS["NNI's TPE, median of finished"](curves, 0, 1)
    replay = play(curves, tuner, assessor)
    finished = [one.recipe for one in replay.trials if one.outcome == "finished"]
    (key,) = [key for key in tuner._history if key[-1] == "rate"]
    told = [math.exp(record.param) for record in tuner._history[key]]
    assert told == pytest.approx([curves.points[recipe]["rate"] for recipe in finished])


def test_a_good_recipe_that_is_left_paused_is_lost(monkeypatch):
    """Pausing for ever is no better than stopping for good."""

    class PauseAll(Assessor):
        pauses = True

        def assess_trial(self, trial_job_id, trial_history):
            return AssessResult.Bad

    job = Job("early_reliable", "random", 1, 3, recipes=40)
    assert compare.play(job).lost == 0
    monkeypatch.setitem(METHODS, "random", lambda curves, seed, workers: (RandomOrder(seed), PauseAll()))
    found = compare.play(job)
    assert found.lost == found.good > 0


def test_a_pruned_trial_keeps_its_curve():
    curves = generated.generate("crossing", 0, 30)
    tuner, pruner = METHODS["Optuna TPE, Hyperband"](curves, 5, 1)
    replay = play(curves, tuner, pruner)
    stopped = [trial for trial in replay.trials if trial.outcome == "stopped"]
    assert stopped
    for trial in stopped:
        study = tuner.study.trials[trial.number]
        assert study.state.name == "PRUNED"
        assert (
            list(study.intermediate_values.values()) == curves.scores[trial.recipe, : trial.epochs].tolist()
        )


def test_a_space_of_recorded_recipes_gives_these_exactly():
    curves = generated.generate("crossing", 0, 30)
    params = [Space(curves.space).params(point) for point in curves.points]
    space = RecordedSpace(curves.space, params)
    rng = np.random.default_rng(0)
    drawn = space.draw(rng, 30)
    assert sorted(map(str, map(space.at, drawn))) == sorted(map(str, params))
    for row in space.around(rng, drawn[:2], 0.1):
        assert space.at(row) in params
        assert space.positions(space.at(row)).tobytes() == row.tobytes()


def test_ours_begins_with_the_default():
    curves = generated.generate("crossing", 0, 30)
    for method in OURS:
        assert play(curves, *METHODS[method](curves, 0, 1), trials=1).trials[0].recipe == curves.default


def test_hyperbands_brackets_do_not_depend_on_the_other_studies_of_the_process():
    curves = generated.generate("crossing", 0, 30)
    first = play(curves, *METHODS["Optuna TPE, Hyperband"](curves, 5, 1)).trials
    METHODS["Optuna TPE"](curves, 1, 1)
    assert play(curves, *METHODS["Optuna TPE, Hyperband"](curves, 5, 1)).trials == first
    assert "stopped" in {trial.outcome for trial in first}


def test_missing_libraries_are_said(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "syne_tune", None)
    monkeypatch.setitem(__import__("sys").modules, "syne_tune.optimizer", None)
    assert "syne_tune" in compare.unavailable("Syne Tune ASHA")
    assert compare.unavailable("random") == ""


@pytest.mark.parametrize("kind", KINDS)
def test_generated_tables_are_the_same_for_a_seed_and_fit_their_space(kind):
    one, again, other = (generated.generate(kind, seed, 60) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.scores, again.scores)
    assert one.points == again.points
    assert one.points != other.points
    space = Space(one.space)
    assert any(parameter.condition for parameter in space.parameters)
    for point in one.points:
        space.params(point)
    assert ((one.scores < 1) | np.isnan(one.scores)).all()
    assert np.isinf(one.final).any()
    alive = np.isfinite(one.final)
    assert one.final[alive] == pytest.approx(one.scores[alive].max(1))


def test_the_kinds_of_curves_differ_by_what_early_epochs_tell():
    early = {kind: np.mean([generated.rank_correlations(generated.generate(kind, seed)) for seed in range(3)], 0)
             for kind in KINDS}  # fmt: skip
    assert early["crossing"][0] < 0.25 and early["crossing"][3] > 0.7
    assert early["early_reliable"][0] > 0.9
    assert early["late_noisy"][2] < 0.4


def test_the_command_prints_a_line_for_each_method_and_does_not_play_twice(tmp_path, capsys, monkeypatch):
    words = ["--table", "crossing", "--method", "Optuna TPE", "--repetitions", "2", "--recipes", "20",
             "--workers", "1", "--processes", "1", "--out", str(tmp_path)]  # fmt: skip
    main(words)
    first = capsys.readouterr().out
    assert "crossing, 1 worker" in first and "Optuna TPE" in first and "(20 times)" in first
    kept = json.loads((tmp_path / "compare.json").read_text())
    assert [line["method"] for line in kept] == ["random", "Optuna TPE"]
    assert "plotly" in (tmp_path / "regret.html").read_text().lower()

    def never(*arguments):
        raise AssertionError("played again")

    monkeypatch.setattr(compare, "play", never)
    main(words)
    assert capsys.readouterr().out == first


@pytest.mark.slow
def test_two_processes_play_as_one_does(tmp_path):
    jobs = [Job("crossing", "Optuna TPE", 1, repetition, recipes=15) for repetition in range(4)]
    assert list(compare.replays(jobs, tmp_path / "two", 2)) == list(
        compare.replays(jobs, tmp_path / "one", 1)
    )


def test_the_last_line_of_a_killed_command_is_played_again(tmp_path):
    jobs = [Job("crossing", "random", 1, repetition, recipes=15) for repetition in range(3)]
    first = list(compare.replays(jobs, tmp_path, 1))
    (kept,) = tmp_path.glob("*.jsonl")
    lines = kept.read_text().splitlines()
    kept.write_text("\n".join([*lines[:2], lines[2][:40]]) + "\n")
    assert list(compare.replays(jobs, tmp_path, 1)) == first


def test_wrong_names_are_refused():
    with pytest.raises(UsageError, match="did you mean Optuna TPE"):
        main(["--table", "crossing", "--method", "Optuna TPEE"])
    with pytest.raises(UsageError, match="crossing"):
        main(["--table", "crosing"])


def test_rivals_are_those_that_the_comparison_promises():
    assert {"random", "two epochs, then best 16", "Optuna TPE", "Optuna TPE, Hyperband"} < set(RIVALS)
    assert {f"Syne Tune {name}" for name in ("ASHA", "ASHABORE", "ASHACQR", "BOHB")} < set(RIVALS)


def test_the_figure_has_a_panel_for_each_table_and_a_name_for_each_method():
    found = lines(
        [
            played(),
            played("Gaussian process", 0.1),
            played(table="late_noisy"),
            played("Optuna TPE", table="late_noisy"),
        ]
    )
    figure = regret_figure(found)
    titles = [note.text for note in figure.layout.annotations]
    assert titles == ["crossing, 1 worker", "late_noisy, 1 worker"]
    assert [trace.name for trace in figure.data if trace.showlegend] == [
        "random",
        "Gaussian process",
        "Optuna TPE",
    ]
    assert len(figure.data) == 4


def test_every_method_has_a_colour():
    assert len(regret_figure(lines([played(name) for name in METHODS])).data) == len(METHODS)
