"""How long a search had run when each of its trials ended, by the clock of NNI's manager."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.trials.nni_database import OPEN, is_trial
from analysis.trials.ranking import Ranking
from common.nni_database import query

HOURS = "hours"  # the column of the trials table
PAUSE = 60.0  # seconds; a longer time without a trial is not search: NNI starts the next one within 10 s
ENDS = ("SUCCEEDED", "FAILED", "EARLY_STOPPED", "USER_CANCELED", "SYS_CANCELED")

Span = tuple[float, float]


def hours_of_search(folder: Path) -> dict[str, float]:
    """{trial: hours of search until its end, or its latest report}, from the start of the first trial of the
    experiment in `folder` on, without the time between an end of the experiment and its resume."""
    spans = _spans(folder)
    sessions = _joined(span for trial in spans.values() for span in trial)
    ends = {trial: of_it[-1][1] for trial, of_it in spans.items()}
    return {
        trial: sum(min(end, until) - since for since, until in sessions if since < end) / 3600
        for trial, end in ends.items()
    }


def hours_words(ranking: Ranking) -> str:
    """'The best trial ended after 1.2 of 4.6 hours of search.'; '' while that is unknown."""
    best, last = ranking.first, ranking.table.get(HOURS, pd.Series(dtype=float)).max()
    if best is None or not last > 0 or pd.isna(best[HOURS]):
        return ""
    factor, unit = unit_of(last)
    return f"The best trial ended after {factor * best[HOURS]:.1f} of {factor * last:.1f} {unit} of search."


def unit_of(hours: float) -> tuple[float, str]:
    """(factor, name) of the unit in which times up to `hours` are shown."""
    return (1, "hours") if hours >= 1 else (60, "minutes")


def _spans(folder: Path) -> dict[str, list[Span]]:
    """The times in which NNI ran each trial, in seconds. A killed manager has recorded no end, or a resume
    has recorded it hours later: the last epoch's report stands for it."""
    reports: dict[str, list[float]] = {}
    for trial, kind, milliseconds in _timed(folder, "trialJobId, type", "MetricData"):
        if kind == "PERIODICAL":
            reports.setdefault(trial, []).append(milliseconds / 1000)
    began: dict[str, float] = {}
    spans: dict[str, list[Span]] = {}

    def end(trial: str, second: float) -> None:
        if trial in began:
            spans.setdefault(trial, []).append((began[trial], max(began.pop(trial), second)))

    for trial, event, milliseconds in _timed(folder, "trialJobId, event", "TrialJobEvent"):
        second = milliseconds / 1000
        if event in OPEN:
            began.setdefault(trial, second)
        elif event in ENDS:
            reported = max(reports.get(trial, ()), default=second)
            end(trial, min(reported, second) if event == "SUCCEEDED" else second)
        elif event == "ADD_RESUMED":
            end(trial, max((report for report in reports.get(trial, ()) if report < second), default=0.0))
    for trial in list(began):
        end(trial, max(reports.get(trial, ()), default=0.0))
    return spans


def _timed(folder: Path, columns: str, table: str) -> Iterator[tuple[Any, ...]]:
    """These columns and the time (ms) of a table's rows; not of those whose trial or time is damaged."""
    for row in query(folder, f"select {columns}, timestamp from {table} order by rowid"):
        if is_trial(row[0]) and isinstance(row[-1], int | float):
            yield row


def _joined(spans: Iterable[Span]) -> list[Span]:
    """The times covered by any span, or by less than PAUSE between two."""
    joined: list[Span] = []
    for since, until in sorted(spans):
        if joined and since - joined[-1][1] < PAUSE:
            joined[-1] = joined[-1][0], max(joined[-1][1], until)
        else:
            joined.append((since, until))
    return joined
