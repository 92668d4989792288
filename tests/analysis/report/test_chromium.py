"""The pages in a browser: every figure is drawn, nothing is written to its console, nothing is wider than a
phone. The time that a page takes is printed (pytest -s)."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from analysis.report import plots
from analysis.report.checks import checks_of, read_checks
from analysis.report.comparison import Side, write_comparison
from analysis.report.experiment import Best, write_report
from analysis.report.lineage import commands_of_experiment, lineage_of
from analysis.report.mistakes import photos_of
from analysis.report.run import write_run_report
from analysis.report.theme import TONES
from analysis.trials.ranking import rank
from analysis.trust.audited import LEAKAGE, Example, keep
from dataset.fingerprint import fingerprint
from dataset.read import read_train
from tests.analysis import example_search
from tests.analysis.audit.test_sheet import answers, other
from tests.analysis.fake_run import untrained

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")]

DESKTOP, PHONE = 1200, 390  # pixels
DARK = "--blink-settings=preferredColorScheme=0"
MAX_BYTES, MAX_SECONDS = 15e6, 30
FIGURES = {
    "experiment": {"best-so-far", "learning-curves", "search", "importance", "effects", "recalls", "confusion", "reliability"},
    "run": {"recalls", "confusion", "reliability"},
    "comparison": {"progress", "recalls"},
}  # fmt: skip
# Put at the end of a page, after all figures are drawn: when that was, and what the page has become, as JSON for
# the page that shows it in a frame.
SEEN = """<script>
document.body.dataset.drawn = performance.now();
addEventListener("load", () => setTimeout(() => parent.postMessage(JSON.stringify({
  width: innerWidth, scrolls: document.documentElement.scrollWidth,
  paper: getComputedStyle(document.body).backgroundColor,
  pictures: [...document.images].filter(one => one.naturalWidth).length,
  drawn: [...document.querySelectorAll(".js-plotly-plot")]
    .filter(one => one.querySelector("svg.main-svg") && one.clientHeight > 100).map(one => one.id),
}), "*")));
</script>"""
FRAME = """<body style="margin:0"><iframe src="%s" style="border:0;width:%dpx;height:900px"></iframe>
<script>addEventListener("message", event => { document.body.dataset.seen = event.data; })</script>"""


def opened(page: Path, folder: Path, width: int, *more: str) -> tuple[str, list[str]]:
    """(The page's DOM after its scripts have run, lines of its console but those on drawing without a GPU)."""
    words = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}",
        "--enable-logging=stderr", "--v=0", f"--window-size={width},900", *more, "--dump-dom", f"file://{page}",
    ]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, timeout=240)
    lines = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, [line for line in lines if "WebGL" not in line and "GL Driver" not in line]


def watched(page: Path, folder: Path) -> Path:
    """A copy of the page that tells what it has become."""
    copy = folder / page.name
    copy.write_text(page.read_text().replace("</body>", f"{SEEN}</body>"))
    return copy


def look(page: Path, folder: Path, width: int, *more: str) -> tuple[dict, list[str]]:
    """(What the page has become on a screen of this width, its console). It is shown in a frame, as Chromium's
    own windows are at least 500 pixels wide."""
    frame = folder / "frame.html"
    frame.write_text(FRAME % (watched(page, folder).name, width))
    dom, console = opened(frame, folder, DESKTOP, "--virtual-time-budget=4000", *more)
    found = re.search(r'data-seen="([^"]*)"', dom)
    assert found, dom[-2000:]
    return json.loads(html.unescape(found[1])), console


@pytest.fixture(scope="module")
def pages(people, tmp_path_factory) -> dict[str, Path]:
    """A page of an experiment, of a run and of two experiments, with pictures and with all of their parts."""
    folder = tmp_path_factory.mktemp("pages")
    task, photos = read_train(people)
    for seed, name in enumerate(("a", "b")):
        found = answers(task, photos, other(task, photos), seed)
        untrained(folder / name, seed, found, task=task, values={"data": str(people)})
    found, mark = answers(task, photos, other(task, photos)), fingerprint(people)
    run = untrained(folder / "c", 0, found, mark, values={"data": str(people)})
    paths = tuple(zip(photos["path"][:2], photos["photo"][:2], strict=True))
    pairs = [Example("000001 and 000002", "nearly the same photo, folds 0 and 3", paths)] * 3
    keep(
        folder / "leakage",
        LEAKAGE,
        ["nearly the same photos: 3 pairs of people in train"],
        people,
        [],
        "",
        pairs,
    )
    checks = read_checks([folder / "leakage"])

    table, curves = example_search.search(40)
    table["folder"] = "a_folder_with_a_long_name_" * 3 + table["folder"]  # a note names it
    ranking = rank(table)
    drawn = {trial: curves[trial] for trial in plots.curves_to_draw(table, curves, ())}
    best = Best(
        run.validation(), task, photos_of(run), lineage_of(run), commands_of_experiment("demo", run, None),
        checks=checks_of(checks, run, "demo", [folder / "a", folder / "b"]),
    )  # fmt: skip
    made = {"experiment": write_report(folder / "r.html", "demo", ranking, ranking.first, drawn, best, None)}
    made["run"] = write_run_report(folder / "run.html", run.folder, None, checks)
    sides = []
    for name in ("a", "b"):
        table, _ = example_search.search(8)
        table["folder"] = str(folder / name)
        sides.append(Side(name, rank(table)))
    made["comparison"] = write_comparison(folder / "both.html", *sides)
    return made


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize(("width", "tone"), [(DESKTOP, 0), (PHONE, 0), (PHONE, 1)], ids=["desktop", "phone", "dark phone"])  # fmt: skip
def test_a_page_is_drawn_without_an_error_and_fits(pages, tmp_path, name, width, tone):
    page = pages[name]
    seen, console = look(page, tmp_path, width, *([DARK] if tone else []))
    assert console == []
    wanted = set(re.findall(r'data-for="(figure-[\w-]+)"', page.read_text()))
    assert wanted >= {f"figure-{figure}" for figure in FIGURES[name]}
    assert set(seen["drawn"]) == wanted
    assert seen["width"] == width and seen["scrolls"] <= width, "wider than the screen"
    assert seen["pictures"] >= (0 if name == "comparison" else 10)
    red, green, blue = (int(TONES["paper"][tone][place : place + 2], 16) for place in (1, 3, 5))
    assert seen["paper"] == f"rgb({red}, {green}, {blue})"


@pytest.mark.parametrize("name", FIGURES)
def test_a_page_is_small_and_soon_there(pages, tmp_path, name):
    page = pages[name]
    assert page.stat().st_size < MAX_BYTES
    dom, _ = opened(watched(page, tmp_path), tmp_path, DESKTOP)
    found = re.search(r'data-drawn="([\d.]+)"', dom)
    assert found
    seconds = float(found[1]) / 1000
    print(f"\n{name}: {page.stat().st_size / 1e6:.1f} MB, drawn after {seconds:.1f} s")
    assert seconds < MAX_SECONDS
