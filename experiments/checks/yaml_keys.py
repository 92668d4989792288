"""Check the keys and plain values of an experiment's YAML against those that NNI 2.10 reads."""

import math
import re
from collections.abc import Mapping
from typing import Any

from common.errors import unknown
from common.kinds import is_integer
from common.nni_yaml import ALGORITHM, ANY, COUNT, DURATION, FLAG, FOLDER, KEYS, TEXT

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}
LEVELS = ("fatal", "error", "warning", "info", "debug", "trace")
LONGEST_NAME = 100
REQUIRED = ("trialCommand", "trialConcurrency", "tuner", "trainingService")


def seconds(duration: Any) -> float | None:
    """A duration as NNI writes it (90, 30m, 1.5h), in seconds; None for anything else."""
    if is_integer(duration):
        return float(duration) if duration > 0 else None
    found = re.fullmatch(r"(\d+\.?\d*)([smhd])", str(duration).lower(), re.ASCII)
    length = float(found[1]) * UNITS[found[2]] if found else 0.0
    return math.ceil(length) if 0 < length < math.inf else None


def name_errors(name: Any) -> list[str]:
    """Errors in an experiment's name, which is an argument of commands and is shown in NNI's page."""
    if not isinstance(name, str):
        return []  # key_errors reports it
    errors = []
    if not 0 < len(name.strip()) <= LONGEST_NAME:
        errors.append(f"experimentName: has {len(name)} characters; 1 to {LONGEST_NAME} are allowed")
    strange = sorted({c for c in name if c in "/\\" or not c.isprintable()})
    if strange or name[:1] in "-.~" or name != name.strip():
        what = f"{strange[0]!r} in it" if strange else "its first or last character"
        errors.append(f"experimentName: {name[:40]!r} can't be a name in our commands: {what}")
    if name == "latest":
        errors.append("experimentName: latest stands for the newest experiment; choose another name")
    return errors


def key_errors(config: Mapping[str, Any]) -> list[str]:
    """Errors in the keys and plain values of a YAML that `common.nni_yaml.read_experiment` has read."""
    errors = [unknown("key", key, KEYS) for key in config if key not in KEYS]
    errors += name_errors(config.get("experimentName"))
    if config.get("experimentType", "hpo") != "hpo":
        errors.append(f"experimentType: {config['experimentType']!r} is not hpo; leave it out")
    if isinstance(level := config.get("logLevel"), str) and level not in LEVELS:
        errors.append(f"logLevel: {unknown('level', level, LEVELS)}")
    if config.get("useAnnotation") is True:
        errors.append("useAnnotation: the search space is given by searchSpaceFile here; leave it out")
    if "advisor" in config:
        errors.append(
            "advisor: none of NNI's works here (Hyperband, BOHB); take the tuner tuners.search.Search and "
            "the assessor tuners.search.CannotWin"
        )
    if "sharedStorage" in config:
        errors.append("sharedStorage: has no effect here; leave it out (for other machines give --machines)")
    errors += [f"{key}: is missing" for key in REQUIRED if key not in config]
    if ("searchSpace" in config) == ("searchSpaceFile" in config):
        errors.append("searchSpaceFile: exactly one of searchSpaceFile and searchSpace is needed")
    for key, value in config.items():
        kind = KEYS.get(key, ANY)
        if not _fits(value, kind):
            errors.append(f"{key}: {value!r} is not {kind}{_hint(value, kind)}")
    for key in ("tuner", "assessor"):
        errors += _algorithm_errors(key, config[key]) if key in config else []
    return errors


def _fits(value: Any, kind: str) -> bool:
    if kind in (TEXT, FOLDER):
        return isinstance(value, str)
    if kind == COUNT:
        return is_integer(value, 1)
    if kind == DURATION:
        return seconds(value) is not None
    if kind == FLAG:
        return isinstance(value, bool)
    return kind == ANY or is_integer(value, 0)


def _hint(value: Any, kind: str) -> str:
    """What to write instead of `8.0`, or of `1e1`, which YAML reads as text."""
    if kind == COUNT and isinstance(value, str | float):
        try:
            return f"; write {int(float(value))}"
        except (ValueError, OverflowError):
            pass
    return ""


def _algorithm_errors(key: str, value: Any) -> list[str]:
    if not isinstance(value, Mapping) or not value:
        example = (
            "className: tuners.search.Search, codeDirectory: .." if key == "tuner" else "name: Medianstop"
        )
        return [f"{key}: {value!r} is not a mapping such as {{{example}}}"]
    errors = [f"{key}: {unknown('key', inner, ALGORITHM)}" for inner in value if inner not in ALGORITHM]
    if ("name" in value) == ("className" in value):
        errors.append(f"{key}: exactly one of name (NNI's own) and className (of this project) is needed")
    for inner in ("name", "className", "codeDirectory"):
        if inner in value and not isinstance(value[inner], str):
            errors.append(f"{key}.{inner}: {value[inner]!r} is not a text")
    if "name" in value and "codeDirectory" in value:
        errors.append(f"{key}.codeDirectory: belongs to className, not to name")
    arguments = value.get("classArgs", {})
    if not isinstance(arguments, Mapping) or not all(isinstance(word, str) for word in arguments):
        errors.append(f"{key}.classArgs: {arguments!r} is not a mapping of names to values")
    return errors
