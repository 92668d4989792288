import subprocess

import pytest

from trial.run_folder.origin import code, versions


@pytest.fixture
def project(tmp_path):
    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "a.py").write_text("1\n")
    git("init")
    git("add", "a.py")
    git("commit", "-m", "one")
    return tmp_path


def test_a_clean_tree_is_its_commit(project):
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project, capture_output=True, text=True).stdout
    assert code(project) == {"commit": commit.strip(), "changed": False, "changes": None}


def test_a_changed_tree_is_marked_and_hashed(project):
    (project / "a.py").write_text("2\n")
    edited = code(project)
    (project / "b.py").write_text("new\n")
    added = code(project)
    assert edited["changed"]
    assert added["changed"]
    assert edited["changes"] != added["changes"]
    assert code(project) == added


def test_outside_git_the_commit_is_unknown_also_inside_a_foreign_one(project, tmp_path_factory):
    assert code(tmp_path_factory.mktemp("plain"))["commit"] == "unknown"
    (project / "inner").mkdir()
    assert code(project / "inner")["commit"] == "unknown"


def test_versions_name_what_a_result_depends_on():
    assert {"python", "torch", "timm", "scikit-learn", "nni"} <= versions().keys()
    assert "not installed" not in {versions()[name] for name in ("torch", "timm")}
