"""Pages that open from disk without a network: plotly.js, figures and pictures are all in one file."""

import json
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from analysis.report.theme import css, dark_tones
from common.files import write_atomic
from common.text import fixed_text, is_missing, value_text

TEMPLATES = Path(__file__).with_name("templates")


def write_page(out: Path, template: str, **facts: object) -> Path:
    """Render `templates/TEMPLATE` with `facts` to the file `out`, atomically; make its folder. Return `out`.

    The template draws figures among `facts` by `{{ figure(name, its_figure) }}`.
    """
    out = Path(out)
    text = (
        _environment()
        .get_template(template)
        .render(facts, theme=Markup(css()), dark_tones=dark_tones(), plotly_js=Markup(get_plotlyjs()))
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    return write_atomic(out, lambda part: part.write_text(text, encoding="utf-8"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(figure=_figure, zip=zip)
    environment.filters.update(
        score=score_text, value=value_text, count=lambda number: f"{number:,}", percent=_percent
    )
    return environment


def _figure(name: str, figure: go.Figure, min_width: int = 0) -> Markup:
    """A figure's place and JSON, which the page's script draws; it scrolls below `min_width` pixels. Its
    texts are shown as they are, a newline as a line break."""
    # "</" inside a script element would end it; JSON allows the escaped slash.
    data = json.dumps(_as_text(json.loads(figure.to_json())), separators=(",", ":")).replace("</", "<\\/")
    style = f"height:{figure.layout.height}px;min-width:{min_width}px"
    return Markup('<div class="scroll"><div class="figure" id="figure-{}" style="{}"></div></div>').format(
        name, style
    ) + Markup(f'<script type="application/json" data-for="figure-{name}">{data}</script>')


def _as_text(part: Any, key: str = "") -> Any:
    """A part of a figure, with its texts escaped, as plotly draws <b> and the like as HTML: a class may be
    called so. Templates are markup of our own, and refer to such texts (by %{meta} to one that is the same
    for all points); the ticks of parallel coordinates (their "dimensions") are all that is not drawn as
    HTML."""
    if isinstance(part, dict):
        plain = "ticktext" if key == "dimensions" else None
        return {name: value if name == plain else _as_text(value, name) for name, value in part.items()}
    if isinstance(part, list):
        return [_as_text(value, key) for value in part]
    if isinstance(part, str) and not key.endswith("template"):
        return escape(part, quote=False).replace("\n", "<br>")
    return part


def score_text(score: Any) -> str:
    """A score as `fixed_text` writes it, a dash if there is none."""
    return "–" if is_missing(score) else fixed_text(score)


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{fraction:.1%}"
