"""Why an experiment can't go on: its disk, and what NNI's logs say; NNI itself reports it late or not at
all."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from common.text import bytes_text

# NNI's dispatcher runs tuner and assessor. After such a line it processes no more commands, but may stay
# alive.
_DIED = re.compile(r"^\[[^]]*\] ERROR \((?:nni\.main|nni\.runtime\.msg_dispatcher_base)/.*$", re.MULTILINE)
_RECORD = re.compile(r"^\[\d{4}-\d\d-\d\d ", re.MULTILINE)
USAGE = "tuners.errors.UsageError: "
CHANNEL = "tuner_command_channel"  # part of the exception that it raises when the manager is gone
_NO_MORE = re.compile(r"\(tuners\.search/.*\) no more trials: (.+)$", re.MULTILINE)
TRACEBACK = "Traceback (most recent call last):\n"
_PLACE = re.compile(r'^  File "([^"]+)", line (\d+)', re.MULTILINE)
LOGS = ("dispatcher.log", "nnimanager.log", "nnictl_stderr.log")
MIN_FREE = 64 * 2**20  # bytes of the disk; with less every trial would fail
NEW: Mapping[str, int] = {}


def log_sizes(folder: Path) -> dict[str, int]:
    """The sizes of the experiment's logs: what an earlier start of it wrote lies before."""
    paths = {name: folder / "log" / name for name in LOGS}
    return {name: path.stat().st_size for name, path in paths.items() if path.is_file()}


def tuner_died(folder: Path, since: Mapping[str, int] = NEW) -> str:
    """The exception that ended the tuner or assessor of the experiment in `folder`; '' while they run.
    `since`: the `log_sizes` at its latest start."""
    text = _read(folder, "dispatcher.log", since)
    for found in _DIED.finditer(text):
        after = text[found.end() :]
        block = after[: end.start()] if (end := _RECORD.search(after)) else after
        if CHANNEL not in block and "NNI manager is broken" not in found[0]:
            break
    else:
        return ""
    lines = [line for line in block.splitlines() if line.strip()]
    raised = lines[-1].strip() if lines else found[0]
    if raised.startswith(USAGE):  # says itself what is wrong
        return raised.removeprefix(USAGE)
    places = _PLACE.findall(block)
    return f"{raised} ({Path(places[-1][0]).name}, line {places[-1][1]})" if places else raised


def why_no_more(folder: Path, since: Mapping[str, int] = NEW) -> str:
    """Why our tuner suggests no more trials in the experiment in `folder`; '' of another one's."""
    said = _NO_MORE.findall(_read(folder, "dispatcher.log", since))
    return said[-1].strip() if said else ""


def last_word(folder: Path, since: Mapping[str, int] = NEW) -> str:
    """The line of the logs that explains best why the experiment in `folder` ended; '' if there is none."""
    if died := tuner_died(folder, since):
        return died
    errors = re.findall(
        r"^\[[^]]*\] ERROR \(\S+\) (.+)$", _read(folder, "nnimanager.log", since), re.MULTILINE
    )
    if errors:
        return errors[-1].strip()
    said, _, raised = _read(folder, "nnictl_stderr.log", since).partition(TRACEBACK)
    if raised.strip() and CHANNEL not in raised:  # else only that the manager is gone, or not yet written
        said += raised
    messages = [
        line.strip()
        for line in said.splitlines()
        if line.strip() and not line.startswith(("---", "Experiment ", " "))
    ]
    return messages[-1] if messages else ""


def _read(folder: Path, name: str, since: Mapping[str, int]) -> str:
    try:
        with (folder / "log" / name).open("rb") as file:
            file.seek(since.get(name, 0))
            return file.read().decode(errors="replace")
    except OSError:  # not written yet
        return ""


def disk_full(folder: Path) -> str:
    """A sentence if the disk of an experiment's folder has too little space left, else ''."""
    free = shutil.disk_usage(folder).free
    if free >= MIN_FREE:
        return ""
    return (
        f"its disk is nearly full ({bytes_text(free)} free), so it was stopped; free some space, then go on"
    )
