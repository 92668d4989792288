"""A data set -> what is in both of its halves, with a page of pictures, and how they differ."""

from pathlib import Path

from analysis.audit.reading import Halves, both_features, read_halves
from analysis.report.page import write_page
from analysis.report.pictures import displayed
from analysis.trust.audited import LEAKAGE, MAX_EXAMPLES, SHIFT, Example, keep
from analysis.trust.leakage import EVAL, PERSON, PHOTO, Leaks, leaks, people_of
from analysis.trust.shift import Shift, measures_of, shift_of
from common.errors import UsageError
from common.files import only_writer_of_out, refuse_taken, write_sheet
from dataset.faces.locate import cached_faces
from dataset.read import corrected
from trial.config import TrialConfig

MAX_SHOWN = 60  # pairs of a kind on the page
PAGE, TABLE = "leakage.html", "leakage.csv"
MIN_EVAL = 10  # photos
MIN_GROUPS = 4  # of train, half of which stand for photos to predict, so that two are left on each side


@only_writer_of_out
def write_leakage(data: Path, out: Path, run: Path | None = None, group: str = "") -> list[str]:
    """Write OUT/leakage.html and leakage.csv; return what was found, in lines for people.

    `run`: a run folder whose network looks at the photos, and whose folds they are; without one a packaged
    network, and a recipe's default folds. UsageError as `read_halves`.
    """
    refuse_taken(out)
    halves = read_halves(data, run, group)
    config = halves.config or TrialConfig(data=str(data))
    if (number := halves.train["group"].nunique()) < config.folds:
        raise UsageError(f"{data}: {number} {halves.task.groups} can't be split into {config.folds} folds")
    labelled = corrected(halves.task, halves.train, config.corrections)  # labels decide how folds are dealt
    train, photos = both_features(halves, run)
    people = people_of(train, halves.train["group"].to_numpy(str), photos)
    found = leaks(labelled, halves.photos, people, config.folds, config.seed)
    out.mkdir(parents=True, exist_ok=True)
    write_sheet(out / TABLE, found.pairs.round(4))
    _write_page(out / PAGE, found, halves, data)
    lines = found.lines(halves.task)
    keep(out, LEAKAGE, lines, data, [run] if run else [], PAGE, _examples(found))
    return [*lines, f"page: {out / PAGE}", f"table: {out / TABLE}"]


@only_writer_of_out
def write_shift(data: Path, out: Path, run: Path | None, group: str) -> list[str]:
    """Keep `shift_between` in the new folder OUT, for a report; return its lines. UsageError as there, and if
    OUT exists."""
    refuse_taken(out)
    lines = shift_between(data, run, group).lines()
    keep(out, SHIFT, lines, data, [run] if run else [])
    return lines


def shift_between(data: Path, run: Path | None = None, group: str = "") -> Shift:
    """How the photos to predict differ from those to train on. UsageError as `read_halves`, and if there are
    less than MIN_EVAL photos to predict, or than MIN_GROUPS groups."""
    halves = read_halves(data, run, group)
    if (number := halves.train["group"].nunique()) < MIN_GROUPS:
        raise UsageError(
            f"{data}: has photos of {number} {halves.task.groups} to train on; {MIN_GROUPS} or more are "
            "needed for a comparison"
        )
    if (number := len(halves.photos)) < MIN_EVAL:
        raise UsageError(
            f"{data}: has {number} photos to predict; {MIN_EVAL} or more are needed for a comparison"
        )
    measures = [measures_of(half["path"]) for half in (halves.train, halves.photos)]
    faces = [cached_faces(half["path"].tolist()) for half in (halves.train, halves.photos)]
    if all(one is not None for one in faces):
        for measured, boxes in zip(measures, faces, strict=True):
            measured["face height"] = boxes[:, 2] - boxes[:, 0]  # type: ignore[index]
    features = both_features(halves, run)
    groups = halves.train["group"].to_numpy(str)
    eval_groups = halves.photos["group"].to_numpy(str) if "group" in halves.photos else None
    return shift_of(features, groups, (measures[0], measures[1]), eval_groups)


def _write_page(page: Path, found: Leaks, halves: Halves, data: Path) -> None:
    task = halves.task
    titles = {PHOTO: "Nearly the same photo", PERSON: f"Perhaps the same {task.group}"}
    kinds = []
    for kind, title in titles.items():
        for across in (True, False):
            pairs = found.pairs[(found.pairs["kind"] == kind) & ((found.pairs["where"] == EVAL) == across)]
            if len(pairs):
                cards = [_card(one) for one in pairs.head(MAX_SHOWN).itertuples()]
                sides = "in train and eval" if across else f"as two {task.groups} of train"
                kinds.append({"title": f"{title} {sides}", "number": len(pairs), "cards": cards,
                              "more": len(pairs) - len(cards)})  # fmt: skip
    write_page(
        page, "leakage.html.j2", name=data.absolute().name, task=task, kinds=kinds, table=TABLE,
        lines=found.lines(task),
    )  # fmt: skip


def _examples(found: Leaks) -> list[Example]:
    """The first pairs: photos before people, since less of them are by chance."""
    order = found.pairs["kind"].map({PHOTO: 0, PERSON: 1}).sort_values(kind="stable").index
    return [
        Example(
            f"{one.one} and {one.other}", f"{one.kind}, {one.where}",
            ((one.path, one.one), (one.other_path, one.other)),
        )
        for one in found.pairs.loc[order].head(MAX_EXAMPLES).itertuples()
    ]  # fmt: skip


def _card(one) -> dict:
    return {
        "one": one.one, "other": one.other, "where": one.where, "similarity": one.similarity,
        "pictures": displayed([one.path, one.other_path], [one.one, one.other]),
    }  # fmt: skip
