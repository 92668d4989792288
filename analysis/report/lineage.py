"""Where a run, its recipe and its submission come from, and the commands that make them again."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.trials.chosen import OTHERS
from analysis.trials.runs import origin_or_empty
from analysis.trials.table import SOUP
from common.errors import UsageError
from common.text import counted, path_text, value_text
from trial.commands.arguments import argument_text
from trial.config import TrialConfig
from trial.run_folder.record import RunFolder

Line = tuple[str, str]


def lineage_of(
    run: RunFolder, row: pd.Series | None = None, about: Mapping[str, Any] | None = None
) -> list[Line]:
    """(What, which) from the data down to the submission. `row`: of the trials table, if it is a trial of a
    search; `about`: the submission.json of what was made of it."""
    about, origin = about or {}, origin_or_empty(run)
    code = origin.get("code") or {}
    changed = ", with changes" if code.get("changed") else ""
    found = [
        ("data", str(origin.get("data_fingerprint", ""))[:12]),
        ("code", f"commit {str(code['commit'])[:12]}{changed}" if code.get("commit") else ""),
        ("experiment", str(about.get("experiment") or origin.get("experiment") or "")),
        ("trial", str(about.get("trial") or origin.get("trial") or "")),
        ("recipe chosen by", "" if row is None else _chosen_by(row)),
        ("went on from", _parents_words(run, by_name=row is None)),
        ("mean of the weights of", ", ".join(origin.get(SOUP) or ())),
        ("run folder", path_text(run.folder)),
    ]
    if rule := about.get("rule"):
        words = "; ".join(f"{key.replace('_', ' ')}: {value}" for key, value in rule.items())
        found.append(("retrained", words))
    if members := about.get("members"):
        found.append(("vote of", f"{len(members)} networks"))
    return [(what, which) for what, which in found if which]


def _chosen_by(row: pd.Series) -> str:
    by = row.get("chosen_by")
    if by is None or pd.isna(by):
        return ""
    gain = row.get("expected_improvement")
    expected = "" if gain is None or pd.isna(gain) else f" (it expected to gain {value_text(float(gain))})"
    return OTHERS.get(str(by), f"the {by}{expected}")


def _parents_words(run: RunFolder, by_name: bool) -> str:
    """On the page of a search a recipe's trial stands for its earlier ones, which are only counted."""
    parents = parents_of(run)
    if by_name or not parents:
        return ", ".join(parents)
    return f"{counted(len(parents), 'earlier trial')} of the same recipe"


def parents_of(run: RunFolder) -> list[str]:
    """The trials that a run goes on from, the latest first."""
    found: list[str] = []
    while (parent := run.status().get("parent")) and parent not in found:
        found.append(str(parent))
        run = RunFolder(run.folder.parent / str(parent))
    return found


def commands_of_experiment(name: str, best: RunFolder | None, submission: Path | None) -> list[Line]:
    """(What it does, the command) of an experiment whose best run is `best`; `submission`: the folder of the
    submission that was made of it."""
    data = data_of(best)
    if submission is None:
        return [
            ("retrain the best recipe on all the data, and write a submission",
             f"python -m analysis export-best-and-retrain {name} --data {data} --out out/final"),
            *_again(best),
        ]  # fmt: skip
    return [*_of_submission(submission, data, True), *_again(best)]


def commands_of_run(run: RunFolder, submission: Path | None, has_bundle: bool) -> list[Line]:
    """(What it does, the command) of a run. `submission`: the folder of its submission, if it has one;
    `has_bundle`: whether that can be made again."""
    data = data_of(run)
    if submission is not None:
        return [*_of_submission(submission, data, has_bundle), *_again(run)]
    predict = f"python -m analysis predict {shlex.quote(path_text(run.folder))} --data {data} --out DIR"
    return [("write a submission of its network", predict), *_again(run)]


def _of_submission(submission: Path, data: str, has_bundle: bool) -> list[Line]:
    folder = shlex.quote(path_text(submission))
    again = f"python -m analysis reproduce {folder} --data {data} --out DIR"
    log = f"python -m analysis submissions {folder} --score SCORE"
    return [
        *([("make the same submission again, byte for byte", again)] if has_bundle else []),
        ("note the leaderboard's score, and whether it is what was promised", log),
    ]


def _again(run: RunFolder | None) -> list[Line]:
    """The commands that train a trial's recipe again: on all the data, and as a trial; none of a soup, nor of
    a run without a score: as a trial, a retrained network's recipe would hold a fold out."""
    if run is None or origin_or_empty(run).get(SOUP):
        return []
    try:
        config = run.config()
    except (OSError, UsageError):
        return []
    if run.status().get("macro_f1") is None:
        return []
    recipe = shlex.quote(path_text(run.folder / "config.json"))
    return [
        ("retrain this recipe", f"python -m analysis retrain {recipe} --data {data_of(run)} --out DIR"),
        ("train it once more as it was", f"python -m trial {arguments_of(config)} out=DIR"),
    ]


def arguments_of(config: TrialConfig) -> str:
    """The key=value arguments of `python -m trial` that make this config, without `out`."""
    usual, own = TrialConfig().to_json(), config.to_json()
    changed = {name: value for name, value in own.items() if name != "out" and value != usual[name]}
    return " ".join(shlex.quote(f"{name}={argument_text(value)}") for name, value in changed.items())


def data_of(run: RunFolder | None) -> str:
    """The data of a run for a command; DIR if that is not known."""
    try:
        return "DIR" if run is None else shlex.quote(path_text(run.config().data))
    except (OSError, UsageError):
        return "DIR"
