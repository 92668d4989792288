"""Check that the tuner and the assessor of a YAML exist, work with the installed packages and take its
arguments. They are only read here; rehearsal.py runs them."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import unknown
from experiments.checks.space import is_endless

# NNI 2.10.1's own, under all names that it accepts: "", or why it can't be used here (numpy 2, scipy 1.17).
OURS = "take className: tuners.search.Search"
NOT_HERE = f"can't be imported here ({{}}); {OURS}"
AFTER_TEN = f"raises after ten trials here (scipy 1.17 removed a function that it calls); {OURS}"
BANDIT = f"is an advisor that ends with a TypeError at the first report; {OURS}, with an assessor"
ARCHITECTURES = f"searches architectures (NAS); {OURS}"
BATCH = "takes a list of ready recipes, not a search space; take GridSearch"
PBT = "gives each trial checkpoint folders to continue from, which trials here don't do; take Evolution"
TUNERS = {
    "TPE": "", "Random": "", "GridSearch": "", "Evolution": "",
    "Batch": BATCH, "BatchTuner": BATCH, "PBT": PBT, "PBTTuner": PBT,
    "GP": AFTER_TEN, "GPTuner": AFTER_TEN, "Metis": AFTER_TEN, "MetisTuner": AFTER_TEN,
    "Hyperband": BANDIT, "BOHB": NOT_HERE.format("ConfigSpace is missing"),
    "SMAC": NOT_HERE.format("smac is missing"), "Anneal": NOT_HERE.format("hyperopt is missing"),
    "TPE_legacy": NOT_HERE.format("hyperopt is missing"),
    "DNGO": NOT_HERE.format("pybnn is missing"), "DNGOTuner": NOT_HERE.format("pybnn is missing"),
    "PPO": ARCHITECTURES, "PPOTuner": ARCHITECTURES, "NetworkMorphism": ARCHITECTURES,
    "RegularizedEvolutionTuner": "searches architectures (NAS); take Evolution",
}  # fmt: skip
ASSESSORS = {
    "Medianstop": "",
    "Curvefitting": "ends the experiment on numpy 1.24 and later; take className: "
    "tuners.search.CannotWin, with the tuner tuners.search.Search, or Medianstop",
}
# Classes of earlier versions, and what to write instead.
EARLIER = {
    "tuners.default_first.DefaultFirstTPE": "tuners.search.Search, with seed and default in its classArgs as "
    "before, but without tpe_args",
    "tuners.median_of_finished.MedianOfFinished": "tuners.search.CannotWin without classArgs, with the tuner "
    "tuners.search.Search",
}
LIARS = ("best", "worst", "mean")


def algorithm_errors(
    key: str, value: Mapping[str, Any], base: Path, space: Mapping[str, Any], ends: bool
) -> list[str]:
    """Errors in `value`, the YAML's entry for `key`, which is tuner or assessor.

    `base`: the folder that its paths are relative to; `ends`: whether a number of trials or a duration ends
    the experiment.
    """
    if "className" in value:
        return _own_errors(key, value, base)
    known = TUNERS if key == "tuner" else ASSESSORS
    given = str(value.get("name"))
    name = {word.lower(): word for word in known}.get(given.lower())
    if name is None:
        return [f"{key}: {unknown('name', given, [word for word in known if not known[word]])}"]
    if why := known[name]:
        return [f"{key}: {name} {why}"]
    arguments = value.get("classArgs") or {}
    if not isinstance(arguments, Mapping):
        return []
    # TPE minimises unless it is told otherwise; what trials report is the better the higher it is.
    if str(arguments.get("optimize_mode", "minimize" if name == "TPE" else "maximize")) == "minimize":
        does = "search for the worst recipe" if key == "tuner" else "stop the best trials"
        fix = "give classArgs: {optimize_mode: maximize}"
        return [f"{key}: {name} would {does}: trials report scores, so {fix}"]
    if name == "GridSearch" and not ends and is_endless(space):
        return ["tuner: GridSearch never ends on a continuous range; give maxTrialNumber, or choices only"]
    liar = (arguments.get("tpe_args") or {}) if name == "TPE" else {}
    if isinstance(liar, Mapping) and "constant_liar_type" in liar:
        wanted = liar["constant_liar_type"]
        if wanted is not None and str(wanted).lower() not in LIARS:
            return [
                f"tuner.classArgs.tpe_args.constant_liar_type: {wanted!r} ends the experiment; "
                f"leave it out, or give one of {', '.join(LIARS)}"
            ]
    return []


def takes_hours(value: Mapping[str, Any], base: Path) -> bool:
    """Whether the class of this project that `value` names has an argument `hours`; `base` as in
    `algorithm_errors`."""
    module, _, name = str(value.get("className", "")).rpartition(".")
    file = base / Path(str(value.get("codeDirectory", "."))).expanduser() / f"{module.replace('.', '/')}.py"
    if not module or not file.is_file():
        return False
    body = ast.parse(file.read_text(encoding="utf-8")).body
    made = next((c for c in body if isinstance(c, ast.ClassDef) and c.name == name), None)
    return made is not None and "hours" in (_arguments(made) or ())


def _own_errors(key: str, value: Mapping[str, Any], base: Path) -> list[str]:
    """Errors in an entry that names a class of this project."""
    module, _, name = str(value["className"]).rpartition(".")
    folder = base / Path(str(value.get("codeDirectory", "."))).expanduser()
    file = folder.joinpath(*module.split(".")).with_suffix(".py")
    if not file.is_file() and value["className"] in EARLIER:
        return [f"{key}.className: {value['className']} is gone; write {EARLIER[value['className']]}"]
    if not module or not file.is_file():
        return [f"{key}.className: {value['className']}: there is no {file}"]
    try:
        body = ast.parse(file.read_text(encoding="utf-8")).body
    except (SyntaxError, ValueError) as error:
        return [f"{key}.className: {file} is not Python: {error}"]
    classes = {c.name: c for c in body if isinstance(c, ast.ClassDef)}
    if name not in classes:
        return [f"{key}.className: {unknown(f'class in {file.name}', name, classes)}"]
    takes = _arguments(classes[name])
    given = value.get("classArgs") or {}
    if takes is None or not isinstance(given, Mapping):
        return []
    return [f"{key}.classArgs: {unknown('argument', word, takes)}" for word in given if word not in takes]


def _arguments(made: ast.ClassDef) -> list[str] | None:
    """The parameters of a class's own __init__; None if it takes any, or inherits its __init__."""
    for part in made.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            if part.args.kwarg:
                return None
            return [a.arg for a in (*part.args.posonlyargs, *part.args.args, *part.args.kwonlyargs)][1:]
    return None
