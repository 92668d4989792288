"""What may stand in an experiment's YAML, as NNI 2.10 reads it; every mistake, with the nearest right key."""

from collections.abc import Mapping
from typing import Any

from dataset.errors import unknown

DURATION = "a number of seconds or a text such as 30m or 2h"
COUNT = "a whole number, 1 or more"
TEXT, FOLDER, ANY = "a text", "a path", "anything"
KEYS = {
    "experimentName": TEXT,
    "experimentType": TEXT,
    "experimentWorkingDirectory": FOLDER,
    "searchSpace": ANY,
    "searchSpaceFile": FOLDER,
    "trialCommand": TEXT,
    "trialCodeDirectory": FOLDER,
    "trialConcurrency": COUNT,
    "trialGpuNumber": "a whole number, 0 or more",
    "maxTrialNumber": COUNT,
    "maxExperimentDuration": DURATION,
    "maxTrialDuration": DURATION,
    "nniManagerIp": TEXT,
    "useAnnotation": ANY,
    "debug": ANY,
    "logLevel": TEXT,
    "tunerGpuIndices": ANY,
    "tuner": ANY,
    "assessor": ANY,
    "advisor": ANY,
    "trainingService": ANY,
    "sharedStorage": ANY,
}
REQUIRED = ("trialCommand", "trialConcurrency", "tuner", "trainingService")
ALGORITHM = ("name", "className", "codeDirectory", "classArgs")


def plain(key: str) -> str:
    """NNI takes `maxTrialNumber`, `max_trial_number` and `MaxTrialNumber` for the same key."""
    return key.lower().replace("_", "")


def spell(given: Mapping[str, Any], keys: Mapping[str, Any] | tuple[str, ...]) -> dict[str, Any]:
    """`given` with NNI's own spelling of the keys that it knows."""
    known = {plain(key): key for key in keys}
    return {known.get(plain(str(key)), key): value for key, value in given.items()}


def key_faults(config: Mapping[str, Any]) -> list[str]:
    """What is wrong with the keys and plain values of a YAML that went through `spell`."""
    faults = [unknown("key", key, KEYS) for key in config if key not in KEYS]
    faults += [f"{key}: is missing" for key in REQUIRED if key not in config]
    if ("searchSpace" in config) == ("searchSpaceFile" in config):
        faults.append("searchSpaceFile: exactly one of searchSpaceFile and searchSpace is needed")
    for key, value in config.items():
        kind = KEYS.get(key, ANY)
        if not _fits(value, kind):
            faults.append(f"{key}: {value!r} is not {kind}{_hint(value, kind)}")
    for key in ("tuner", "assessor"):
        faults += _algorithm_faults(key, config[key]) if config.get(key) is not None else []
    return faults


def _fits(value: Any, kind: str) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if kind in (TEXT, FOLDER):
        return isinstance(value, str)
    if kind == COUNT:
        return whole and value >= 1
    if kind == DURATION:
        text = str(value)
        return (whole and value > 0) or (text[-1:] in "smhd" and text[:-1].isdigit())
    return kind == ANY or (whole and value >= 0)


def _hint(value: Any, kind: str) -> str:
    """For `8.0`, or `1e1`, which YAML takes for text."""
    if kind == COUNT and isinstance(value, str | float):
        try:
            return f"; write {int(float(value))}"
        except ValueError:
            pass
    return ""


def _algorithm_faults(key: str, value: Any) -> list[str]:
    if not isinstance(value, Mapping):
        return [f"{key}: {value!r} is not a mapping such as {{name: TPE}}"]
    faults = [f"{key}: {unknown('key', inner, ALGORITHM)}" for inner in value if inner not in ALGORITHM]
    if ("name" in value) == ("className" in value):
        faults.append(f"{key}: exactly one of name (NNI's own) and className (of this project) is needed")
    if not isinstance(value.get("classArgs") or {}, Mapping):
        faults.append(f"{key}.classArgs: {value['classArgs']!r} is not a mapping")
    return faults
