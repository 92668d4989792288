"""Try a tuner and an assessor as NNI's dispatcher uses them, without an experiment.

    python -P tuners/rehearse.py ORDER.json ANSWER.json

ORDER: {"tuner", "assessor" (or null), "space", "trials"}, the first two as in an experiment's YAML, with
absolute paths. ANSWER: {"points": the suggestions, "tuner": what it raised or "", "assessor": the same,
"warnings": what the tuner warned of when given the search space}.

NNI notices an exception in either of them late or never; here it is found before anything starts.
"""

import json
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EPOCHS = 3  # number of reports of each trial to the assessor
SECONDS = 20  # limit for the suggestions


def rehearse(order: dict[str, Any]) -> dict[str, Any]:
    points: list[Any] = []
    warnings: list[str] = []
    tuner = _raised(_tuner(order, points, warnings))  # first, as in NNI's dispatcher: an assessor may ask it
    assessor = _raised(_assessor(order)) if order.get("assessor") else ""
    return {"tuner": tuner, "assessor": assessor, "points": points, "warnings": warnings}


def _raised(steps: Iterator[str]) -> str:
    """What the steps raise, and at which step; '' if nothing. Each step yields its name before it runs."""
    current = ""
    try:
        for step in steps:
            current = step
    except Exception as error:
        if (
            type(error).__name__ == "UsageError"
        ):  # of this project, which need not be importable here: says all
            return str(error)
        return f"{type(error).__name__}: {' '.join(str(error).split())} ({current})"
    return ""


class _Kept(logging.Handler):
    """Keeps the messages of warnings."""

    def __init__(self, messages: list[str]):
        super().__init__(logging.WARNING)
        self.messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def _tuner(order: dict[str, Any], points: list[Any], warnings: list[str]) -> Iterator[str]:
    """The steps of a tuner; its suggestions are appended to `points`, and to `warnings` what it warns of when
    given the search space."""
    import nni
    from nni.runtime.msg_dispatcher_base import MsgDispatcherBase

    end = time.monotonic() + SECONDS
    yield "when constructed"
    tuner = _make(order["tuner"], "tuners")
    if isinstance(tuner, MsgDispatcherBase):
        raise TypeError("is an advisor, not a tuner")
    yield "when given the search space"
    kept = _Kept(warnings)
    logging.getLogger("tuners").addHandler(kept)
    try:
        tuner.update_search_space(order["space"])
    finally:
        logging.getLogger("tuners").removeHandler(kept)
    for number in range(order["trials"]):
        yield f"at suggestion {number + 1}"
        try:
            suggested = tuner.generate_multiple_parameters([number], st_callback=lambda *_: None)
        except nni.NoMoreTrialError:
            return
        if not suggested:
            return
        points.append(json.loads(nni.dump(suggested[0])))
        yield f"at result {number + 1}"
        # Scores rise and fall, so that no model sees constant scores.
        score = {"default": 0.3 + 0.01 * number + 0.1 * (number % 3), "accuracy": 0.5}
        tuner.receive_trial_result(number, suggested[0], score, customized=False, trial_job_id=str(number))
        yield f"at the end of trial {number + 1}"
        tuner.trial_end(number, True)
        if time.monotonic() > end:
            return


def _assessor(order: dict[str, Any]) -> Iterator[str]:
    from nni.assessor import AssessResult

    yield "when constructed"
    assessor = _make(order["assessor"], "assessors")
    for number in range(order["trials"]):
        history = []
        for epoch in range(EPOCHS):
            yield f"at report {epoch + 1} of trial {number + 1}"
            history.append({"default": 0.2 + 0.1 * epoch + 0.01 * (number % 5), "accuracy": 0.5})
            result = assessor.assess_trial(str(number), list(history))
            if not isinstance(result, bool | AssessResult):
                raise TypeError(f"assess_trial gives {result!r}, not an AssessResult")
        yield f"at the end of trial {number + 1}"
        assessor.trial_end(str(number), True)


def _make(algorithm: dict[str, Any], kind: Any) -> Any:
    from nni.tools.package_utils import create_builtin_class_instance, create_customized_class_instance

    if algorithm.get("name"):
        return create_builtin_class_instance(algorithm["name"], algorithm.get("classArgs") or {}, kind)
    return create_customized_class_instance(algorithm)


if __name__ == "__main__":
    answer = rehearse(json.loads(Path(sys.argv[1]).read_text()))
    Path(sys.argv[2]).write_text(json.dumps(answer))
