"""`python -m trial weights`: download what trials will need, once, beforehand."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from dataset.errors import CallersMistake
from trial.arguments import parse_arguments
from trial.catalogue import read_model
from trial.config import TrialConfig
from trial.weights import fetch


def fetch_all(names: list[str]) -> None:
    """Fetch each and print its path. CallersMistake for unknown names, before the first download."""
    faults: list[str] = []
    names = [member for name in names for member in name.split("+")]
    for name in names:
        read_model(name, faults)
    if not names:
        faults.append("nothing to fetch: give names of networks, or --experiment YAML with weights=hub")
    if faults:
        raise CallersMistake(faults)
    failed = []
    for name in dict.fromkeys(names):
        try:
            print(fetch(name), flush=True)
        except CallersMistake:
            raise
        except Exception as error:
            first_line = next(iter(str(error).splitlines()), "")
            failed.append(f"{name}: the download failed ({type(error).__name__}: {first_line})")
    if failed:
        hint = "Is this machine on the internet? weights=FILE takes a file from elsewhere."
        print("\n".join(failed), hint, sep="\n", file=sys.stderr)
        raise SystemExit(1)


def wanted_by(experiment: Path) -> list[str]:
    """The networks of an experiment's command and search space whose weights come from the hub."""
    return [model for model, sources in named_by(experiment) if "hub" in sources]


def named_by(experiment: Path) -> list[tuple[str, list[str]]]:
    """(network, sources of its weights) of an experiment's command and search space."""
    import yaml

    try:
        read = yaml.safe_load(experiment.read_text())
        space = read.get("searchSpace")
        if space is None:
            space = json.loads((experiment.parent / read["searchSpaceFile"]).read_text())
        words = shlex.split(read["trialCommand"])
    except (OSError, ValueError, KeyError, AttributeError, yaml.YAMLError) as error:
        raise CallersMistake(
            f"{experiment}: can't be read as an experiment ({error}); see python -m experiments check"
        ) from None
    fixed = parse_arguments([word for word in words if "=" in word])
    models = _options(space.get("model", fixed.get("model", TrialConfig.model)))
    sources = _options(space.get("weights", fixed.get("weights", TrialConfig.weights)))
    named = []
    for model in models:
        own = sources
        if isinstance(model, dict):
            own = _options(model["weights"]) if "weights" in model else sources
            model = model["_name"]
        named.append((model, own))
    return named


def _options(given: Any) -> list[Any]:
    """What a value of a space, or a fixed one, can be."""
    return given["_value"] if isinstance(given, dict) and "_value" in given else [given]
