"""The scores of a validation table by class: the part of a report that templates/classes.html.j2 shows."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.report.mistakes import worst_mistakes
from analysis.report.reliability import reliability_diagram
from analysis.report.theme import HEAT, LIGHT, blank
from analysis.trust.answers import count
from analysis.trust.calibration import calibration_error, reliability
from analysis.trust.recalls import recall_intervals
from common.text import few
from dataset.task import Task
from trial.run_folder.predictions import probabilities_of, scores_of

MAX_BARS = 60  # classes; of more, the WORST with the lowest recall are drawn
WORST = 40
FEW = 6  # classes whose confusion does not need the page's width
TEXT = 84  # pixels of a recall and its photos
MAX_TEXTS = 30  # classes with numbers in the cells of the confusion
MAX_CELLS = 100  # classes of which the confusion is drawn
PAIRS = 20  # of classes confused most often
MAX_NAME = 36  # characters of a class's name on an axis
NAMES = 12  # of classes in a sentence


def classes_of(
    validation: pd.DataFrame | None, task: Task | None, photos: pd.DataFrame | None = None
) -> dict:
    """The values that templates/classes.html.j2 shows; all None without a validation table (photo, group,
    label, p00, p01, ...) or task. `photos` (photo, path): where they are, None if they are not here."""
    if validation is None or validation.empty or task is None:
        nothing = (
            "classes", "absent", "recalls", "confusion", "pairs", "task", "groups", "mistakes", "reliability",
            "calibration",
        )  # fmt: skip
        return {**dict.fromkeys(nothing), "classes_words": "", "recall_words": ""}
    classes = class_table(validation, task)
    scores = scores_of(validation)
    known = classes[classes["photos"] > 0]
    shown, recall_words = classes, ""
    if len(classes) > MAX_BARS:
        shown = known.sort_values("recall", kind="stable").head(WORST)
        recall_words = (
            f"The {len(shown)} of {len(classes):,} classes with the lowest recall; the table has all."
        )
    groups = f"validation {task.groups}" if task.group == "photo" else (
        f"photos of {validation['group'].nunique():,} validation {task.groups}"
    )  # fmt: skip
    words = f"{len(validation):,} {groups}; accuracy {scores.accuracy:.3f}, macro-F1 {scores.macro_f1:.3f}."
    return {
        "classes": list(classes.itertuples()),
        "absent": few(classes.loc[classes["photos"] == 0, "name"].tolist(), NAMES),
        "recalls": recalls(shown, task),
        "recall_words": recall_words,
        "confusion": confusion(scores.confusion, task) if task.n_classes <= MAX_CELLS else None,
        "pairs": confused_pairs(scores.confusion, task) if task.n_classes > MAX_TEXTS else [],
        "classes_words": f"{words}{_rare_words(classes, task)}",
        "task": task,
        "groups": "" if task.group == "photo" else task.groups,
        "mistakes": [] if photos is None else worst_mistakes(validation, task, photos),
        **_calibration(validation),
    }


def _calibration(validation: pd.DataFrame) -> dict:
    """The reliability diagram, and a sentence on it."""
    table = reliability(probabilities_of(validation), validation["label"].to_numpy())
    apart = ((table["confidence"] - table["accuracy"]) * table["photos"]).sum()
    word = f"; in the mean the network is {'over' if apart > 0 else 'under'}confident"
    error = round(calibration_error(table), 3)
    words = (
        f"How often a photo is predicted correctly, by the probability of its predicted class. The expected "
        f"calibration error is {error:.3f}{word if error else ''}."
    )
    return {"reliability": reliability_diagram(table), "calibration": words}


def _rare_words(classes: pd.DataFrame, task: Task) -> str:
    """How much of the photos, and of the macro-F1, the rare classes are."""
    rare = classes[classes["rare"]]
    if rare.empty:
        return ""
    which = f"rare class{'es' if len(rare) > 1 else ''}"
    if task.rare_name != "rare classes":
        which = f"class{'es' if len(rare) > 1 else ''} of {task.rare_name}"
    one = f"The {f'{len(rare)} ' if len(rare) > 1 else ''}{which} hold{'' if len(rare) > 1 else 's'}"
    return (
        f" {one} {rare['photos'].sum() / classes['photos'].sum():.0%} of the photos, "
        f"and {len(rare) / len(classes):.0%} of the macro-F1."
    )


def class_table(validation: pd.DataFrame, task: Task) -> pd.DataFrame:
    """One row per class: name, rare, photos, groups, hits, recall, low and high (its 95 % interval over
    groups), precision, f1.

    `validation` has the columns group, label and p00, p01, ...; recall is NaN for a class without photos,
    precision for a class that was never predicted; f1 is 0 for both, so that its mean is the macro-F1.
    """
    scores = scores_of(validation)
    labels = range(task.n_classes)
    groups = validation.groupby("label")["group"].nunique().reindex(labels, fill_value=0)
    predicted = probabilities_of(validation).argmax(1)[:, None]
    counts = count(validation["label"].to_numpy(), predicted, validation["group"].to_numpy(), task.n_classes)
    low, high = recall_intervals(counts.truth, counts.hits[:, 0])
    return pd.DataFrame(
        {
            "name": task.classes,
            "rare": task.is_rare(labels),
            "photos": scores.confusion.sum(1),
            "groups": groups.to_numpy(),
            "hits": scores.confusion.diagonal(),
            "recall": scores.recall,
            "low": low,
            "high": high,
            "precision": scores.precision,
            "f1": scores.f1,
        }
    )


def recalls(classes: pd.DataFrame, task: Task) -> go.Figure:
    """Recall of each class as a bar with its interval, and in brackets its number of photos; `classes`: rows
    of `class_table`."""
    figure, beside = blank(max(150, 88 + 24 * len(classes)), bargap=0.35), []
    of_groups = "" if task.group == "photo" else ", %{customdata[2]} %{meta}"
    for rare, name, colour in ((False, _other_name(task), "best"), (True, task.rare_name, "rare")):
        some = classes[classes["rare"] == rare]
        if some.empty and len(classes):
            continue
        text = [
            f"{row.recall:.2f} ({row.photos:,})" if row.photos else "no photos" for row in some.itertuples()
        ]
        figure.add_bar(
            x=some["recall"].fillna(0),
            y=some["name"],
            orientation="h",
            name=name,
            marker=dict(color=LIGHT[colour], opacity=0.65),  # or the lower half of the interval is not seen
            text=text,
            textposition="none",  # beside the intervals: below
            error_x=dict(
                type="data", symmetric=False, color=LIGHT["ink"], thickness=1.2, width=3,
                array=(some["high"] - some["recall"]).fillna(0),
                arrayminus=(some["recall"] - some["low"]).fillna(0),
            ),
            customdata=some[["hits", "photos", "groups"]],
            meta=task.groups,
            hovertemplate="%{y}: %{customdata[0]} of %{customdata[1]} photos" + of_groups + "<extra></extra>",
        )  # fmt: skip
        for name, words in zip(some["name"], text, strict=True):
            place = dict(xref="paper", x=1, y=name, xanchor="left", xshift=4)
            beside.append(dict(text=words, showarrow=False, **place))
    figure.update_layout(showlegend=len(figure.data) > 1, annotations=beside, margin_r=TEXT)
    names = classes["name"].tolist()
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], showgrid=False, **_ticks(names))
    figure.update_xaxes(range=[0, 1.02], tickvals=[0, 0.25, 0.5, 0.75, 1], title_text="recall")
    return figure


def _other_name(task: Task) -> str:
    """What the classes that are not rare are called: by the other values of the factor that says rare."""
    for names in task.factors.values():
        if task.rare_name in names:
            return " and ".join(name for name in names if name != task.rare_name)
    return "other classes"


def confusion(counts: np.ndarray, task: Task) -> go.Figure:
    """Heat map of the confusion matrix `counts` (classes, classes), as fractions of each true class (row).
    The counts are shown on hover. Lines separate the values of the first of several factors."""
    n_classes, names = task.n_classes, list(task.classes)
    with np.errstate(invalid="ignore"):
        fractions = counts / counts.sum(1, keepdims=True)
    cell = min(27, max(9, 900 // n_classes))  # pixels
    figure = blank(max(260, 194 + cell * n_classes))
    texts = {
        "text": [
            [f"{value:.2f}".lstrip("0") if value >= 0.005 else "" for value in row] for row in fractions
        ],
        "texttemplate": "%{text}",
        "textfont_size": 10,
    }
    figure.add_heatmap(
        z=fractions.round(4),
        x=names,
        y=names,
        customdata=counts,
        zmin=0,
        zmax=1,
        colorscale=HEAT,
        xgap=1,
        ygap=1,
        showscale=False,
        hoverongaps=False,
        hovertemplate="true: %{y}<br>predicted: %{x}<br>"
        "%{customdata} photos, %{z:.1%} of the row<extra></extra>",
        **(texts if n_classes <= MAX_TEXTS else {}),
    )
    ticks = _ticks(names, 12 if cell > 14 else cell - 1)
    figure.update_yaxes(autorange="reversed", title_text="true class", showgrid=False, ticks="", **ticks)
    figure.update_xaxes(title_text="predicted class", showgrid=False, ticks="", **ticks)
    if n_classes <= FEW:
        figure.update_layout(width=320 + 90 * n_classes)
    else:
        figure.update_xaxes(tickangle=-60)
    values = task.sizes[0] if len(task.sizes) > 1 else 1
    for value in range(1, values):
        border = value * n_classes / values - 0.5
        figure.add_hline(y=border, line=dict(color=LIGHT["muted"], width=1))
        figure.add_vline(x=border, line=dict(color=LIGHT["muted"], width=1))
    return figure


def confused_pairs(counts: np.ndarray, task: Task, limit: int = PAIRS) -> list[dict]:
    """The pairs of classes confused most often, as rows: true, predicted (names), photos, fraction of the
    true class's photos."""
    wrong = counts * (1 - np.eye(len(counts), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    return [
        dict(true=task.classes[row], predicted=task.classes[column], photos=int(wrong[row, column]),
             fraction=float(wrong[row, column] / counts[row].sum()))
        for row, column in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[row, column]
    ]  # fmt: skip


def _ticks(names: list[str], size: int = 12) -> dict:
    """An axis's labels for the classes `names`: all of them, the middle of long ones left out."""
    if size == 12 and max(map(len, names), default=0) <= MAX_NAME:
        return {}
    half = MAX_NAME // 2
    shorter = [
        name if len(name) <= MAX_NAME else f"{name[:half].rstrip()}…{name[-half:].lstrip()}" for name in names
    ]
    return dict(tickmode="array", tickvals=names, ticktext=shorter, tickfont_size=size)
