"""Check that the trials report folds if the assessor takes their reports for folds."""

from collections.abc import Iterable, Mapping
from typing import Any

from trial.config import TrialConfig

ASSESSOR = "tuners.folds.WorseOnFolds"
FOLDS = 5  # its default


def fold_errors(assessor: Any, recipes: Iterable[TrialConfig]) -> list[str]:
    """Errors in a YAML's `assessor` for trials of these recipes, one of each value that is searched."""
    if not isinstance(assessor, Mapping) or assessor.get("className") != ASSESSOR:
        return []
    arguments = assessor.get("classArgs") or {}
    folds = arguments.get("folds", FOLDS) if isinstance(arguments, Mapping) else FOLDS
    errors: dict[str, None] = {}
    for recipe in recipes:
        if (recipe.fold, recipe.fold_order) != ("all", "one_by_one"):
            errors[
                f"assessor: {ASSESSOR} is for trials that report their folds, not their epochs: write "
                f"fold=all fold_order=one_by_one in trialCommand (now fold={recipe.fold} "
                f"fold_order={recipe.fold_order}), or take tuners.search.CannotWin"
            ] = None
        elif recipe.folds != folds:
            errors[f"assessor.classArgs.folds: {folds!r}, but trials have folds={recipe.folds}"] = None
    return list(errors)
