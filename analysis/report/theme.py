"""The colours of pages and figures, each with a tone for light and one for dark mode."""

import plotly.graph_objects as go

# Figures are drawn in the light tones; in dark mode the page's script swaps each for its dark one. So each
# tone must appear only once, or the swap could not tell two meanings apart.
TONES: dict[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#15181c"),
    "panel": ("#f6f7f9", "#1c2025"),
    "line": ("#dde2e7", "#333a42"),
    "grid": ("#e9edf0", "#272d34"),
    "muted": ("#5c6873", "#9aa5b0"),
    "ink": ("#1a1f24", "#e4e8ec"),
    "faint": ("#b4bec8", "#56616c"),
    "best": ("#0a5fc4", "#62b0ff"),
    "default": ("#c0560a", "#f2a25c"),
    "median": ("#1d7f6b", "#52c4ab"),
    "rare": ("#8c3fa0", "#d08be2"),
    "alarm": ("#b3261e", "#ff8a80"),
    "heat0": ("#fefefe", "#16191d"),
    "heat1": ("#c3dbf5", "#1c3a5c"),
    "heat2": ("#4f94dc", "#2f74ba"),
    "heat3": ("#08458f", "#8cc8ff"),
}
LIGHT: dict[str, str] = {name: light for name, (light, _) in TONES.items()}
HEAT = [[i / 3, LIGHT[f"heat{i}"]] for i in range(4)]
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def blank(height: int, **layout) -> go.Figure:
    """An empty figure in the project's style, `height` pixels high, as wide as its container."""
    axis = dict(
        gridcolor=LIGHT["grid"],
        linecolor=LIGHT["line"],
        zeroline=False,
        automargin=True,
        title=dict(font=dict(color=LIGHT["muted"], size=12), standoff=8),
    )
    style = dict(
        template="none",
        height=height,
        margin=dict(l=8, r=8, t=34, b=8),
        modebar=dict(bgcolor="rgba(0,0,0,0)", color=LIGHT["faint"], activecolor=LIGHT["ink"]),
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font=dict(family=FONT, size=12, color=LIGHT["ink"]),
        hoverlabel=dict(bgcolor=LIGHT["panel"], bordercolor=LIGHT["line"], font=dict(color=LIGHT["ink"])),
        legend=dict(orientation="h", x=0, y=1.02, yanchor="bottom", font=dict(color=LIGHT["muted"])),
        xaxis=axis,
        yaxis=axis,
    )
    return go.Figure(layout=style | layout)  # ten times as fast as update_layout, which sets each value alone


def css() -> str:
    """The colours as CSS variables: light, and dark if the reader's system prefers it."""
    light = "".join(f"--{name}:{tone};" for name, (tone, _) in TONES.items())
    dark = "".join(f"--{name}:{tone};" for name, (_, tone) in TONES.items())
    return f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"


def dark_tones() -> dict[str, str]:
    """Light tone -> dark tone, for the page's script."""
    return dict(TONES.values())
