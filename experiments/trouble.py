"""Find in NNI's logs why an experiment can't go on; NNI itself reports it late or not at all."""

import re
from pathlib import Path

# NNI's dispatcher runs tuner and assessor. After such a line it processes no more commands, but may stay
# alive.
_DIED = re.compile(r"^\[[^]]*\] ERROR \((?:nni\.main|nni\.runtime\.msg_dispatcher_base)/.*$", re.MULTILINE)
_RECORD = re.compile(r"^\[\d{4}-\d\d-\d\d ", re.MULTILINE)
USAGE = "tuners.errors.UsageError: "
CHANNEL = "tuner_command_channel"  # part of the exception that it raises when the manager is gone
_PLACE = re.compile(r'^  File "([^"]+)", line (\d+)', re.MULTILINE)


def tuner_died(folder: Path) -> str:
    """The exception that ended the tuner or assessor of the experiment in `folder`; '' while they run."""
    text = _read(folder / "log" / "dispatcher.log")
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


def last_word(folder: Path) -> str:
    """The line of the logs that explains best why the experiment in `folder` ended; '' if there is none."""
    if died := tuner_died(folder):
        return died
    errors = re.findall(
        r"^\[[^]]*\] ERROR \(\S+\) (.+)$", _read(folder / "log" / "nnimanager.log"), re.MULTILINE
    )
    if errors:
        return errors[-1].strip()
    lines = _read(folder / "log" / "nnictl_stderr.log").splitlines()
    messages = [
        line.strip() for line in lines if line.strip() and not line.startswith(("---", "Experiment ", " "))
    ]
    return messages[-1] if messages else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # not written yet
        return ""
