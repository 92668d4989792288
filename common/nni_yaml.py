"""An experiment's YAML and its search space, read as NNI 2.10 reads them."""

import json
import os
import shlex
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

DURATION = "a number of seconds or a text such as 30m or 2h"
COUNT = "an integer, 1 or more"
TEXT, FOLDER, FLAG, ANY = "a text", "a path", "true or false", "anything"
KEYS = {  # key: what its value must be
    "experimentName": TEXT,
    "experimentType": TEXT,
    "experimentWorkingDirectory": FOLDER,
    "searchSpace": ANY,
    "searchSpaceFile": FOLDER,
    "trialCommand": TEXT,
    "trialCodeDirectory": FOLDER,
    "trialConcurrency": COUNT,
    "trialGpuNumber": "an integer, 0 or more",
    "maxTrialNumber": COUNT,
    "maxExperimentDuration": DURATION,
    "maxTrialDuration": DURATION,
    "nniManagerIp": TEXT,
    "useAnnotation": FLAG,
    "debug": FLAG,
    "logLevel": TEXT,
    "tunerGpuIndices": ANY,
    "tuner": ANY,
    "assessor": ANY,
    "advisor": ANY,
    "trainingService": ANY,
    "sharedStorage": ANY,
}
ALGORITHM = ("name", "className", "codeDirectory", "classArgs")
SERVICE = ("platform", "useActiveGpu", "maxTrialNumberPerGpu", "gpuIndices", "trialGpuNumber", "reuseMode")
# Keys that NNI also takes inside trainingService, in place of those at the top of the YAML.
IN_SERVICE = ("trialCommand", "trialCodeDirectory", "nniManagerIp", "debug")
NESTED = {"tuner": ALGORITHM, "assessor": ALGORITHM, "trainingService": (*SERVICE, *IN_SERVICE)}
TRIAL = "-m trial"
SHELL = "();<>|&"  # what ends a word for the shell, as a space does


def read_experiment(path: Path) -> tuple[dict[str, Any] | None, Any, list[str]]:
    """(config, search space, errors) of the YAML at `path`.

    The config has NNI's own spelling of keys; keys without a value are left out, as NNI does. None if the
    file holds no mapping. The search space comes from searchSpaceFile if that is given, else from
    searchSpace; None if neither can be read.
    """
    config, errors = read_file(path)
    if not isinstance(config, dict):
        return None, None, errors or [f"{path}: is not a mapping of keys to values"]
    errors += _duplicates(config)
    config = _spelled(config, KEYS)
    for key, keys in NESTED.items():
        if isinstance(config.get(key), dict):
            errors += _duplicates(config[key], f"{key}.")
            config[key] = _spelled(config[key], keys)
    space: Any = config.get("searchSpace")
    if isinstance(given := config.get("searchSpaceFile"), str):
        file = path.parent / os.path.expanduser(given)
        space, more = read_file(file) if file.is_file() else (None, [f"searchSpaceFile: there is no {file}"])
        errors += more
        if not more and not isinstance(space, dict):
            errors.append(f"searchSpaceFile: {file} is not a mapping of names to {{_type, _value}}")
    elif space is not None and not isinstance(space, dict):
        errors.append("searchSpace: is not a mapping of names to {_type, _value}")
    return config, space, errors


def split_command(command: str) -> tuple[str, tuple[str, ...]]:
    """('python -m trial', its `key=value` words) of a trialCommand; ValueError for any other command, and for
    words that the shell, by which NNI starts it, takes apart."""
    command = command.replace("\\\n", "").strip()  # as for the shell, the next line goes on
    start, found, words = command.partition(TRIAL)
    if not found or words[:1].strip():
        raise ValueError(f"{command!r} is not 'python -m trial key=value ...'")
    if "\n" in words:
        raise ValueError(
            "the shell ends the command at the end of its first line; write >- in the place of |"
        )
    apart = shlex.shlex(words, posix=True, punctuation_chars=SHELL)
    apart.whitespace_split, apart.commenters = True, ""
    split = shlex.split(words)
    if list(apart) != split:
        word = next(word for word in split if any(sign in word for sign in SHELL))
        raise ValueError(f"the shell takes {word!r} apart; write it in quotes, such as {shlex.quote(word)}")
    return start + TRIAL, tuple(split)


def read_file(path: Path) -> tuple[Any, list[str]]:
    """(content, errors) of a YAML or JSON file; a key that appears twice is an error."""
    errors: list[str] = []

    def note(keys: list[Any]) -> None:
        errors.extend(f"{path}: {key} is given twice" for key in dict.fromkeys(keys) if keys.count(key) > 1)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        note([key for key, _ in pairs])
        return dict(pairs)

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
            note([key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
            return super().construct_mapping(node, deep)

    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            return json.loads(text, object_pairs_hook=unique), errors
        return yaml.load(text, Loader), errors
    except (ValueError, yaml.YAMLError) as error:
        return None, [f"{path}: {' '.join(str(error).split())}"]
    except RecursionError:
        return None, [f"{path}: is nested too deeply"]
    except OSError as error:
        return None, [f"{path}: can't be read: {error.strerror}"]


def _plain(key: Any) -> str:
    """The key as NNI compares it: `maxTrialNumber`, `max_trial_number` and `MaxTrialNumber` are the same."""
    return str(key).lower().replace("_", "")


def _spelled(given: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """`given` with NNI's spelling of the keys that it knows, without the keys that have no value."""
    known = {_plain(key): key for key in keys}
    return {known.get(_plain(key), key): value for key, value in given.items() if value is not None}


def _duplicates(given: Mapping[str, Any], where: str = "") -> list[str]:
    """Keys in several spellings that are the same key for NNI."""
    spellings: dict[str, list[str]] = {}
    for key in given:
        spellings.setdefault(_plain(key), []).append(str(key))
    repeated = [words for words in spellings.values() if len(words) > 1]
    return [f"{where}{words[0]} is given twice: as {', '.join(words)}" for words in repeated]
