"""Names of earlier versions that run folders, recipes and YAMLs may hold: they are read as today's names."""

from collections.abc import Mapping
from typing import Any

FIELDS = {"train_share": "train_fraction"}
NAMES = {
    "head": {"three": "factors"},
    "mixing": {"mixup_oldest": "mixup_rare"},
    "sampler": {"each_once": "uniform", "by_class": "class_balanced"},
    "copies": {"seed": "baseline"},
    "patience_on": {"macro_f1": "score"},
    "augment": {"seed": "baseline", "seed_strong": "baseline_strong"},
    "augment step": {"jitter": "color_jitter", "erasing": "random_erasing", "crop": "random_resized_crop"},
}
PARAMS = {
    "weighted": {"weights": "class_weights"},
    "random_erasing": {"least": "min_area", "most": "max_area", "stretch": "max_ratio"},
    "random_resized_crop": {"least": "min_area", "stretch": "max_ratio"},
}


def current_field(key: str) -> str:
    """`key`, FIELD or FIELD.PARAMETER, with today's name of the field."""
    field, dot, param = key.partition(".")
    return FIELDS.get(field, field) + dot + param


def current_name(what: str, name: Any) -> Any:
    """Today's name of the choice `name` of the field `what`."""
    return NAMES.get(what, {}).get(name, name) if isinstance(name, str) else name


def current_policy(name: Any) -> Any:
    """Today's name of a policy; a list of steps is named after them, 'flip+color_jitter'."""
    if not isinstance(name, str):
        return name
    steps = "+".join(current_name("augment step", step) for step in name.split("+"))
    return current_name("augment", name) if name in NAMES["augment"] else steps


def current_params(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` ({parameter: value}) of the choice `name` (today's) by today's names."""
    known = PARAMS.get(name, {})
    return {known.get(param, param): value for param, value in given.items()}
