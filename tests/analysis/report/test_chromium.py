"""The pages in a browser: every figure is drawn, and nothing is written to its console."""

import re
import shutil
import subprocess

import pytest

from analysis.report import plots
from analysis.report.comparison import Side, write_comparison
from analysis.report.experiment import Best, write_report
from analysis.trials.ranking import rank
from dataset.face_masks.labels import FACE_MASK
from tests.analysis import example_search
from tests.analysis.fake_run import untrained

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")]


def opened(page, folder, *more: str) -> tuple[str, list[str]]:
    """(The page's DOM after its scripts have run, lines of its console but those on drawing without a GPU)."""
    words = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}",
        "--enable-logging=stderr", "--v=0", "--window-size=1200,900", "--virtual-time-budget=4000", *more,
        "--dump-dom", f"file://{page}",
    ]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, timeout=240)
    lines = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, [line for line in lines if "WebGL" not in line and "GL Driver" not in line]


def test_the_pages_are_drawn_without_an_error(tmp_path):
    table, curves = example_search.search(40)
    ranking = rank(table)
    drawn = {trial: curves[trial] for trial in plots.curves_to_draw(table, curves, ())}
    best = Best(example_search.validation(300), FACE_MASK)
    page = write_report(tmp_path / "r.html", "demo", ranking, ranking.first, drawn, best, None)
    wanted = set(re.findall(r'data-for="(figure-[\w-]+)"', page.read_text()))
    for more in ((), ("--blink-settings=preferredColorScheme=0",)):  # light, dark
        dom, console = opened(page, tmp_path, *more)
        assert console == []
        assert wanted >= {f"figure-{name}" for name in
                          ("best-so-far", "learning-curves", "search", "importance", "effects", "recalls", "confusion", "reliability")}  # fmt: skip
        assert dom.count("js-plotly-plot") >= len(wanted)
    for name in ("a", "b"):
        untrained(tmp_path / name, 0, example_search.validation(300, seed=0))
    sides = []
    for name in ("a", "b"):
        table, _ = example_search.search(8)
        table["folder"] = str(tmp_path / name)
        sides.append(Side(name, rank(table)))
    dom, console = opened(write_comparison(tmp_path / "c.html", *sides), tmp_path)
    assert console == []
    assert dom.count("js-plotly-plot") >= 2
