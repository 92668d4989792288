"""Check that the trials report folds if the assessor takes their reports for folds."""

from collections.abc import Iterable, Mapping
from typing import Any

ASSESSOR = "tuners.folds.WorseOnFolds"
FOLDS = 5  # its default


def fold_errors(assessor: Any, trials: Iterable[tuple[int | str, str, int]]) -> list[str]:
    """Errors in a YAML's `assessor` for trials with these (fold, fold_order, folds)."""
    if not isinstance(assessor, Mapping) or assessor.get("className") != ASSESSOR:
        return []
    arguments = assessor.get("classArgs") or {}
    folds = arguments.get("folds", FOLDS) if isinstance(arguments, Mapping) else FOLDS
    errors: dict[str, None] = {}
    for fold, order, number in trials:
        if (fold, order) != ("all", "one_by_one"):
            errors[
                f"assessor: {ASSESSOR} is for trials that report their folds, not their epochs: write "
                f"fold=all fold_order=one_by_one in trialCommand (now fold={fold} fold_order={order}), "
                "or take tuners.search.CannotWin"
            ] = None
        elif number != folds:
            errors[f"assessor.classArgs.folds: {folds!r}, but trials have folds={number}"] = None
    return list(errors)
