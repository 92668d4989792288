"""What audits of the data and an ensemble found, read from their --out folders; the commands of what is not
there."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from analysis.report.lineage import Line, data_of
from analysis.report.pictures import displayed
from analysis.submission import JSON, metric_of, read_about
from analysis.trials.runs import origin_or_empty
from analysis.trust.audited import LABELS, LEAKAGE, NAME, SHIFT, Audited, Example, read_audited
from common.errors import UsageError, all_at_once
from common.text import path_text
from trial.metrics import title_of
from trial.run_folder.record import RunFolder

ENSEMBLE = "ensemble"
TITLES = {
    LABELS: "Labels that are probably wrong",
    LEAKAGE: "The same on both sides of a split",
    SHIFT: "Do the photos to predict differ?",
    ENSEMBLE: "Together with other runs",
}  # in the page's order
MEMBERS = 3  # of the ensemble that a page suggests


@dataclass(frozen=True)
class Check:
    """What a folder holds: `audit`, or `about`, the submission.json of an ensemble."""

    folder: Path
    audit: Audited | None = None
    about: Mapping[str, Any] | None = None

    @property
    def kind(self) -> str:
        return self.audit.kind if self.audit else ENSEMBLE


def read_checks(folders: Sequence[Path]) -> list[Check]:
    """What the folders hold, in the page's order. UsageError with all folders that hold nothing of the sort,
    or a damaged file."""
    found = all_at_once(*(partial(_read, folder) for folder in folders))
    return sorted(found, key=lambda one: list(TITLES).index(one.kind))


def _read(folder: Path) -> Check:
    try:
        return Check(folder, audit=read_audited(folder))
    except (FileNotFoundError, NotADirectoryError):
        about = read_about(folder)
    if about and "vote_asked" in about:
        try:
            ways_of(about)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"{folder / JSON}: is damaged ({error!r})") from None
        return Check(folder, about=about)
    commands = ", ".join([*list(TITLES)[:-1], f"or {ENSEMBLE}"])
    raise UsageError(f"{folder}: holds no {NAME} and no {JSON} of an ensemble; give an --out of {commands}")


def checks_of(
    checks: Sequence[Check], run: RunFolder | None, name: str, others: Sequence[Path] = ()
) -> dict[str, Any]:
    """The values that templates/checks.html.j2 shows, on the page of the experiment or run `name`, whose best
    run is `run`. `others`: runs that were validated on the same photos."""
    commands = {} if run is None else _commands(run, others)
    fingerprint = "" if run is None else origin_or_empty(run).get("data_fingerprint", "")
    missing = [kind for kind in commands if kind not in {one.kind for one in checks}]
    again = [path_text(one.folder) for one in checks] + [f"out/{kind}" for kind in missing]
    page = f"python -m analysis report {name} {' '.join(f'--with {shlex.quote(folder)}' for folder in again)}"
    lines: list[Line] = [(_lower(TITLES[kind]), commands[kind]) for kind in missing]
    return {
        "checks": [_part(one, fingerprint) for one in checks],
        "unchecked": [*lines, ("to show what is found on this page", page)] if missing else [],
        "unchecked_titles": ", ".join(missing),
    }


def _commands(run: RunFolder, others: Sequence[Path]) -> dict[str, str]:
    """The command of each kind."""
    folder, data = shlex.quote(path_text(run.folder)), data_of(run)
    found = {
        LABELS: f"python -m analysis labels {folder} --out out/labels",
        LEAKAGE: f"python -m analysis leakage {data} --run {folder} --out out/leakage",
        SHIFT: f"python -m analysis shift {data} --run {folder} --out out/shift",
    }
    if runs := [one for one in others if one != run.folder][: MEMBERS - 1]:
        texts = " ".join(shlex.quote(path_text(one)) for one in (run.folder, *runs))
        found[ENSEMBLE] = f"python -m analysis ensemble {texts} --data {data} --out out/ensemble"
    return found


def _part(check: Check, fingerprint: str) -> dict[str, Any]:
    """One part of the page."""
    part: dict[str, Any] = {
        "title": TITLES[check.kind], "folder": path_text(check.folder), "page": "", "alarm": "", "runs": [],
        "lines": [], "cards": [], "ways": None,
    }  # fmt: skip
    if check.audit is not None:
        audit = check.audit
        other = fingerprint and audit.data_fingerprint != fingerprint
        return part | {
            "lines": audit.lines, "runs": [path_text(one) for one in audit.runs],
            "cards": [_card(one) for one in audit.examples],
            "page": path_text(check.folder / audit.page) if audit.page else "",
            "alarm": _other_data(f"This is of {path_text(audit.data)}") if other else "",
        }  # fmt: skip
    about = check.about or {}
    members = about.get("members", [])
    other = fingerprint and any(one.get("data_fingerprint") != fingerprint for one in members)
    why = (about.get("validation") or {}).get("none", "")
    return part | {
        "ways": ways_of(about), "lines": [f"Its gain could not be estimated: {why}."] if why else [],
        "alarm": _other_data("Not all members saw these data") if other else "",
    }  # fmt: skip


def _other_data(words: str) -> str:
    return f"{words}: other files than the run's on this page, or they have changed since."


def _card(example: Example) -> dict[str, Any]:
    paths, names = [path for path, _ in example.photos], [name for _, name in example.photos]
    return {"title": example.title, "words": example.words, "pictures": displayed(paths, names)}


def ways_of(about: Mapping[str, Any]) -> dict[str, Any] | None:
    """How the members of an ensemble's submission.json were combined: a sentence, each way's nested score and
    gain, each member's weight and what it adds; None if nothing was estimated."""
    if not (ways := about.get("ways")):
        return None
    taken, title = about["vote"], title_of(metric_of(about))
    gain = ways[taken]
    shown = "no gain is shown" if gain["gain_low"] <= 0 else "a gain"
    return {
        "words": f"Taken: {taken} of {len(about['members'])} runs, {title} {_limits(gain, 'score', '')}: "
        f"{_limits(gain, 'gain_over_best_run', 'gain_', '+')} over the best run, so {shown}.",
        "metric": title,
        "rows": [
            {"way": way, "taken": way == taken, "score": _limits(facts, "score", ""),
             "gain": _limits(facts, "gain_over_best_run", "gain_", "+")}
            for way, facts in ways.items()
        ],
        "members": [
            {"run": one["run"], "weight": one.get("weight"), "seconds": one.get("prediction_seconds"),
             "adds": _limits(one, "adds", "adds_", "+") if "adds" in one else "–"}
            for one in about["members"]
        ],
    }  # fmt: skip


def _limits(facts: Mapping[str, float], value: str, limits: str, sign: str = "") -> str:
    """'0.512 (0.401 to 0.623)'."""
    one, low, high = (f"{facts[name]:{sign}.3f}" for name in (value, f"{limits}low", f"{limits}high"))
    return f"{one} ({low} to {high})"


def _lower(title: str) -> str:
    return title[0].lower() + title[1:].rstrip("?")
