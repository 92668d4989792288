"""Each notebook runs from top to bottom on drawn people, and is stored without what it printed."""

import os
import re

import nbformat
import pytest
from nbclient import NotebookClient

from common.machine import PROJECT
from dataset.cache.arrays import CACHE

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))


def names(notebooks) -> list[str]:
    return [path.stem for path in notebooks]


def test_the_baselines_notebooks_exist():
    assert {"EDA", "img_cl_mask", "sample_submission"} <= set(names(NOTEBOOKS))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=names(NOTEBOOKS))
def test_it_is_stored_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=names(NOTEBOOKS))
def test_it_reads_groups_by_any_column_or_expression(path):
    """Wherever it reads a set to train on, and in the recipe."""
    source = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    reading = re.findall(r"(?:scan_train|[^_]check)\(DATA.*|\[f\"data=.*", source)
    assert 'GROUP = ""' in source and reading and all("GROUP" in line for line in reading)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=names(NOTEBOOKS))
def test_it_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    """In a folder notebooks/ whose parent has no photos; a cell that fails is shown.

    PYTHONPATH is this checkout, also in an environment that has another one installed.
    """
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")]))
    for name in ("TMPDIR", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
        (tmp_path / name).mkdir()
    before = sorted((PROJECT / "notebooks").iterdir())
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(tmp_path / "notebooks")}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
    assert sorted((PROJECT / "notebooks").iterdir()) == before
    assert not any(str(tmp_path) in info.read_text() for info in CACHE.glob("*.json")), (
        "photos are not cached"
    )
    assert not any((tmp_path / "notebooks").iterdir()), "it writes beside its folder, not into it"
    assert not list((tmp_path / "TMPDIR").glob("tmp*")), "the drawn people are removed"
    last = [cell for cell in notebook.cells if cell.cell_type == "code"][-1]
    printed = "".join(
        output.get("text", "") or str(output.get("data", {}).get("text/plain")) for output in last.outputs
    )
    assert printed
    if "submission.csv" in last.source:
        (submission,) = (tmp_path / "out" / "notebooks").glob("*/submission/submission.csv")
        assert f"submission: {submission}" in printed


@pytest.mark.parametrize("path", NOTEBOOKS, ids=names(NOTEBOOKS))
def test_it_changes_no_path(path):
    assert not [hack for hack in ("sys.path", "chdir") if hack in path.read_text()]
