"""Runs that are not finished (killed, failed, stopped, still running): their state, and the warnings of the
commands that use them."""

from pathlib import Path
from typing import Any

from common.errors import UsageError
from trial.metrics import title_of
from trial.run_folder.record import RunFolder

WARNING = "WARNING: "


def unfinished(run: Path) -> dict[str, Any] | None:
    """{"run", "state", "reason", "fold", "epochs_done", "epochs", "best_epoch", "macro_f1", "metric",
    "score"} of a run folder whose state is not 'done', else None. `fold`: the current one if folds are
    trained one by one; `epochs`: as configured, None if the config is missing or damaged."""
    folder = RunFolder(run)
    status = folder.status()
    if status["state"] == "done":
        return None
    planned, fold, done = None, None, status.get("epochs", 0)
    try:
        config = folder.config()
        planned = config.epochs
        if config.reports_folds:
            last = folder.epochs().iloc[-1]
            fold, done = int(last["fold"]), int(last["epoch"])
    except (OSError, ValueError, UsageError):
        pass
    return {
        "run": str(run), "state": status["state"], "reason": status["reason"], "fold": fold,
        "epochs_done": done, "epochs": planned, "best_epoch": status.get("best_epoch"),
        "macro_f1": status.get("macro_f1"), "metric": status.get("metric"), "score": status.get("score"),
    }  # fmt: skip


def how_far(state: dict[str, Any]) -> str:
    """'failed (killed) after epoch 3 of 20'."""
    reason = f" ({state['reason']})" if state["reason"] else ""
    done = f"after epoch {state['epochs_done']}" if state["epochs_done"] else "before the end of epoch 1"
    of = f" of {state['epochs']}" if state["epochs"] else ""
    fold = "" if state["fold"] is None else f" of fold {state['fold']}"
    return f"{state['state'].replace('_', ' ')}{reason} {done}{of}{fold}"


def weights_words(state: dict[str, Any]) -> str:
    """The warning of a command that uses the network of such a run."""
    used = "the last weights written are used"
    if state["best_epoch"] is not None:
        used = f"the weights used are of epoch {state['best_epoch']}, the best so far ({_score(state)})"
    return f"{WARNING}the run {state['run']} is not finished: {how_far(state)}; {used}"


def recipe_words(state: dict[str, Any], stop_after: int | None) -> str:
    """The warning of a command that retrains the recipe of such a run, up to the epoch `stop_after`."""
    all_of_them = f"all {state['epochs']} epochs" if state["epochs"] else "all epochs"
    if state["best_epoch"] is None:
        what = f"no epoch has a validation score, so its recipe is trained for {all_of_them}"
    elif stop_after is None:
        what = f"its best score so far is {_score(state)}"
    else:
        what = (
            f"its recipe is trained up to epoch {stop_after}, by the scores so far (best {_score(state)}); "
            f"epochs={state['epochs']} after the recipe trains {all_of_them}"
        )
    return f"{WARNING}the run {state['run']} is not finished: {how_far(state)}; {what}"


def _score(state: dict[str, Any]) -> str:
    return f"{title_of(state['metric'])} {state['score']:.4f}"
