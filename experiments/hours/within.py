"""Run an experiment within a given time, and retrain its best recipe at the end."""

import logging
import shlex
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from analysis.pipeline import export_best_and_retrain
from analysis.recipes import recipe_of
from analysis.retrain import retrain
from analysis.trials.ranking import rank
from analysis.trials.table import Experiment, trial_table
from common.errors import UsageError
from common.files import write_json
from common.text import path_text
from experiments.check import check
from experiments.hours.budget import (
    BUDGET,
    STOP,
    Budget,
    Data,
    all_photos,
    photos_to_predict,
    planned,
    predicted,
    words,
)
from experiments.progress import State, clock
from experiments.run import FINAL, ExperimentResult, run_plan
from trial.aliases import current_field
from trial.run_folder.record import RunFolder

logger = logging.getLogger(__name__)
SLACK = 0.05  # of the hours


def run_within(
    path: Path,
    hours: float | None,
    with_retrain: bool,
    data: Path | None = None,
    port: int | None = None,
    settings: Iterable[str] = (),
    trials: int | None = None,
    began: float | None = None,
    keep: int | None = None,
    machines: Path | None = None,
    without_failing: bool = False,
) -> ExperimentResult:
    """`check` and `run_plan` with a number and length of trials that fit into `hours`, everything included
    (None: those of the YAML). With `with_retrain` the best recipe is then trained on all photos, and the
    submission written, into the experiment's folder FINAL, on this machine. The hours count from `began`
    (time.monotonic(); default: now), and are of trials on this machine: not for `machines`."""
    began = time.monotonic() if began is None else began
    settings = list(settings)
    checked = check(path, data, port, settings, trials, keep, machines, without_failing)
    plan = replace(checked, retrains=with_retrain)
    ends, write, size = None, None, None
    if hours is not None:
        may_shorten = all(current_field(word.partition("=")[0]) != "epochs" for word in settings)
        plan, budget, size = planned(plan, hours, began, with_retrain, trials, may_shorten)
        for line in words(budget, trials, int(plan.config["trialConcurrency"])):
            logger.info(line)
        end = began + hours * 3600 - STOP
        ends = _end_of_search(end, budget, size) if with_retrain else lambda state: end

        def write(folder: Path) -> None:
            write_json(folder / BUDGET, budget.to_json())

    result = run_plan(plan, port, ends, write)
    if not with_retrain:
        return result
    # A little over the time is better than a worse recipe.
    left = None if hours is None else began + hours * 3600 * (1 + SLACK) - time.monotonic()
    return retrained(result, Experiment(result.id, plan.name, result.folder), left, size)


def retrained(
    result: ExperimentResult, experiment: Experiment, left: float | None = None, size: Data | None = None
) -> ExperimentResult:
    """The result of an experiment with its best recipe trained on all photos, into its folder FINAL. `left`,
    `size`: as in `retrain_best`."""
    out = result.folder / FINAL
    try:
        retrain_best(experiment, Path(result.data), out, left, size)
    except BaseException:  # Ctrl-C, too
        if result.state.best_run is not None:
            photos, place = shlex.quote(result.data), shlex.quote(path_text(out))
            logger.info(
                "the search is kept; to retrain its best recipe:\n  python -m analysis "
                f"export-best-and-retrain {result.name} --data {photos} --out {place}"
            )
        raise
    return replace(result, final=out)


def _end_of_search(end: float, budget: Budget, photos: Data) -> Callable[[State], float]:
    """The time (time.monotonic()) at which retraining the best recipe so far has to begin."""
    known: dict[Path, float] = {}

    def ends(state: State) -> float:
        if state.best_run is None:
            return end - budget.retraining
        if state.best_run not in known:
            known[state.best_run] = seconds_to_retrain(state.best_run, photos)
        return end - (known[state.best_run] or budget.retraining)

    return ends


def seconds_to_retrain(run: Path, data: Data) -> float:
    """What retraining the recipe of a finished run, prediction and report take; 0 if it can't be read."""
    folder = RunFolder(run)
    with suppress(UsageError, OSError, KeyError, TypeError, ZeroDivisionError):
        config, status = folder.config(), folder.status()
        until = min(status.get("best_epoch") or config.epochs, config.epochs)
        epochs = until * all_photos(config) + predicted(config, data)
        return float(status["seconds"] / status["epochs"] * epochs + data.seconds)
    return 0.0


def retrain_best(
    experiment: Experiment, data: Path, out: Path, left: float | None, size: Data | None
) -> None:
    """Retrain the best recipe on all photos into `out`, and write the submission if there are photos to
    predict. `left`: seconds that there are for it; a recipe that needs longer is passed over, if another one
    fits."""
    table = trial_table(experiment)
    ranking = rank(table)
    if left is not None and size is not None:
        needs = [seconds_to_retrain(Path(folder), size) for folder in ranking.ranked["folder"]]
        too_long = [need > left for need in needs]
        if any(too_long[:1]) and not all(too_long):
            logger.info(
                "the best recipe, trial %s, would take %s to retrain, and %s are left: the best one that "
                "fits is taken", ranking.ranked.iloc[0]["trial"], clock(needs[0]), clock(max(left, 0)),
            )  # fmt: skip
            ranking = rank(table.drop(ranking.ranked.index[too_long]))  # with promise and equals of its own
    best = ranking.best().iloc[0]
    # As many threads as the trial had: its time for an epoch was measured with them.
    values = {} if left is None else {"threads": RunFolder(Path(best["folder"])).config().threads}
    if photos_to_predict(data):
        export_best_and_retrain(experiment, data, out, values=values, ranking=ranking)
        return
    recipe = recipe_of(best, experiment.id)
    recipe.write(out / "best" / "1" / "recipe.json")
    retrain(recipe.config({**values, "data": str(data)}), out / "best" / "1", recipe.stop_with({}))
