"""What there is to choose from, with descriptions: `python -m trial --list [WORD ...]`, and `--help`."""

import json
import re
import shutil
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, get_args

from common.errors import UsageError, unknown
from trial.augment.per_image import PER_IMAGE
from trial.augment.policies import DESCRIPTIONS, POLICIES, STEPS
from trial.catalogue import networks, steps
from trial.choice import params_of
from trial.commands.arguments import argument_text
from trial.config import CHOICES, FIELDS, TrialConfig
from trial.metrics import METRICS

BUILDERS = {**CHOICES, "metric": METRICS, "step": {**STEPS, **PER_IMAGE}}
LONG, SHOWN = 150, 30  # the whole list shows SHOWN names of a field with more than LONG
DESCRIBED = 30  # and only the names of a field with more described choices than this
MAX_WIDTH = 110  # columns, in wider terminals


def choices() -> dict[str, list[str]]:
    """{field: names} of everything that has a name."""
    return {
        "model": list(networks()),
        "weights": ["hub", "package", "none", "PATH"],
        **{name: list(registry) for name, registry in CHOICES.items()},
        "augment": list(POLICIES),
        "step": [*STEPS, *PER_IMAGE, *steps()],
        "metric": list(METRICS),
        **{
            name: list(get_args(FIELDS[name].type))
            for name in ("precision", "patience_on", "fold_order", "join", "pixels")
        },
    }


def matching(words: Collection[str]) -> dict[str, list[str]]:
    """{field: those of its names that have a word in them, or in one of their parameters}; of a field with a
    word in its own name all names, [] if it takes a value. UsageError for each word that nothing matches."""
    known = choices()
    known |= {name: [] for name in FIELDS if name not in known}
    found: dict[str, set[str]] = {}
    errors = []
    for word in words:
        part = word.lower()
        hits = {
            field: {
                name for name in names if part in f"{field} {name.lower()}" or part in _params(field, name)
            }
            for field, names in known.items()
        }
        hits = {field: names for field, names in hits.items() if names or part in field}
        if not hits:
            errors.append(unknown("field or name", word, [*known, *chain(*known.values())]))
        for field, names in hits.items():
            found.setdefault(field, set()).update(names)
    if errors:
        raise UsageError(errors)
    return {
        field: [n for n in names if n in found[field]] for field, names in known.items() if field in found
    }


def show(as_json: bool, words: Collection[str] = ()) -> None:
    """Print the choices, for people or as one line of JSON; with `words` those that match one."""
    named = matching(words) if words else choices()
    if as_json:
        print(json.dumps(named))
        return
    parts = [_field_part(field, names, whole=not words) for field, names in named.items() if names]
    values = [name for name, found in named.items() if not found]
    if not words:
        values = [name for name in FIELDS if name not in named]
    if values:
        parts.append(f"fields that take a value, with their defaults\n{_definitions(field_rows(values))}")
    print("\n\n".join(parts))


def field_rows(names: Collection[str] = tuple(FIELDS)) -> Iterator[tuple[str, str]]:
    """('FIELD=DEFAULT', description) of these fields."""
    for name in names:
        default = TrialConfig().to_json()[name]
        yield (
            f"{name}={argument_text(default['_name'] if isinstance(default, dict) else default)}",
            field_text(name),
        )


def field_text(name: str) -> str:
    """The one-line description of a field."""
    return str(FIELDS[name].metadata["description"])


def choice_text(field: str, name: str) -> str:
    """The one-line description of a choice, '' if it has none (networks, steps of albumentations)."""
    if field == "augment":
        return DESCRIPTIONS[name]
    builder: Callable[..., Any] | None = BUILDERS.get(field, {}).get(name)
    return _first_sentence(builder.__doc__ or "") if builder else ""


def _first_sentence(docstring: str) -> str:
    paragraph = " ".join(docstring.strip().partition("\n\n")[0].split())
    return re.split(r"(?<=\.)\s+(?=[A-Z`])", paragraph)[0]  # not after 'et al.', which a year follows


def _field_part(field: str, names: list[str], whole: bool) -> str:
    """A field's description and the names of its choices, each with a description if it has one."""
    if field in FIELDS:
        lines = [_filled(": ".join(*field_rows([field])))]
    else:
        lines = [_filled(f"{field}: step of an augmentation policy, for a list of your own")]
    texts = {name: choice_text(field, name) for name in names}
    described = [name for name in names if texts[name]]
    if whole and len(described) > DESCRIBED:
        described = []
    if described:
        lines.append(_definitions((name, f"{texts[name]}{_params_text(field, name)}") for name in described))
    others = [name for name in names if name not in described]
    if whole and len(others) > LONG:
        others = [*others[:SHOWN], f"... {len(others)} in all (--list {field})"]
    elif whole and len(others) > DESCRIBED:
        others.append(f"... (more on each: --list {field})")
    elif not whole:  # albumentations' parameters would be most of the whole list
        others = [f"{name}{_params_text(field, name)}" for name in others]
    if others:
        lines.append(_filled(", ".join(others), "  ", "  "))
    return "\n".join(lines)


def _definitions(rows: Iterable[tuple[str, str]]) -> str:
    """Terms and their descriptions in two columns."""
    rows = list(rows)
    width = max(len(term) for term, _ in rows)
    return "\n".join(_filled(text, f"  {term:<{width}}  ", " " * (width + 4)) for term, text in rows)


def _filled(text: str, first_indent: str = "", indent: str = "") -> str:
    """`text` in lines that fit into the terminal."""
    width = min(shutil.get_terminal_size().columns, MAX_WIDTH)
    return textwrap.fill(
        text, width, initial_indent=first_indent, subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _params(field: str, name: str) -> Mapping[str, Any]:
    """{parameter: default} of a choice."""
    if name in (builders := BUILDERS.get(field, {})):
        return {param: default for param, (_, default) in params_of(builders[name]).items()}
    return steps().get(name, {}) if field == "step" else {}


def _params_text(field: str, name: str) -> str:
    """' (gamma=2)' of a choice that has parameters."""
    written = [f"{param}={argument_text(default)}" for param, default in _params(field, name).items()]
    return f" ({', '.join(written)})" if written else ""
