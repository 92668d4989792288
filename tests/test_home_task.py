"""The task is a value: masks, genders, ages and 18 classes are known in dataset/face_masks/ only.

Apart from it: tests, and the recipes, search spaces, experiments and benchmarks of the home task.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

from common.machine import PROJECT

ROOMS = ("common", "dataset", "trial", "analysis", "tuners", "nni_setup")
HOME = "dataset/face_masks/"
FACES = "dataset/faces/"  # finds any face; the age of the person is nobody's business there

# The files outside that import from dataset/face_masks/, and what for.
REGISTERED = {
    "analysis/audit/sheet.py": "suspected labels become corrections that its reader applies",
    "analysis/eda/suspects.py": "what looks wrong in sets of its layout",
    "analysis/score.py": "answers without a submission.json may be the competition's numbers",
    "analysis/submission.py": "submissions of earlier versions have no task",
    "dataset/__main__.py": "the command that draws a set",
    "dataset/check.py": "corrections are checked even if the set has other errors",
    "dataset/formats/labelled.py": "the home task's names keep its order in every format",
    "dataset/read.py": "the layout is a format, corrections are applied",
    "trial/config.py": "borders are a choice",
    "trial/requirements.py": "other tasks are refused what only this one has",
    "trial/models/hse_faceres.py": "drawn faces calibrate a network for faces",
    "trial/recipe.py": "borders change training photos",
    "trial/run_folder/record.py": "run folders of the first versions have no task.json",
}
WORDS = re.compile(
    r"""(?<![\w-])(?:masks?|genders?|(?:fe)?males?|ages?|aged|age_bands?|oldest   # not ._mask1.jpg, not face-mask
        |CLASS_NAMES|N_CLASSES)(?!\w)
        |60\+|<30|30-59|\b(?:60|sixty)\ and\ over\b
        |(?<![\w.,])18(?![\w,.]\d|\w)""",
    re.VERBOSE,
)
# What these words say elsewhere, and why it stays.
MEANT_OTHERWISE = {
    ("dataset/near_duplicates.py", "18"): "a width in pixels",
    ("dataset/__main__.py", "gender"): "of the drawn set",
    ("dataset/__main__.py", "age"): "of the drawn set",
    ("trial/models/heads.py", "18"): "a first loss that was measured with 18 classes",
    ("trial/models/hse_faceres.py", "age"): "what this network was trained for",
    ("trial/models/hse_faceres.py", "gender"): "what this network was trained for",
    ("trial/models/hse_faceres.py", "18"): "the youngest drawn person",
    ("trial/models/pretrained.py", "masks"): "of attention",
}


def outside() -> list[Path]:
    """The files of the rooms that should not know the home task."""
    paths = [path for room in ROOMS for path in sorted((PROJECT / room).rglob("*.py"))]
    return [path for path in paths if not name_of(path).startswith((HOME, FACES))]


def name_of(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def words_of(source: str) -> set[str]:
    """The home task's words among the names, texts, comments and numbers of a file."""
    kinds = (tokenize.NAME, tokenize.STRING, tokenize.COMMENT, tokenize.NUMBER)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {word for token in tokens if token.type in kinds for word in WORDS.findall(token.string)}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("age = 3", {"age"}), ("'by gender'", {"gender"}), ("x = 18", {"18"}), ("# recall of 60+", {"60+"}),
        ("f'{x} of 60 and over'", {"60 and over"}), ("AGE = table['age_band']", {"age_band"}), ("'18 classes'", {"18"}),
        ("'resnet18'", set()), ("FACE_MASK", set()), ("'the face-mask task'", set()), ("x = 0.18", set()), ("image, usage", set()),
        ("'60 people'", set()), ("'1,18'", set()), ("masked, pages", set()),
    ],
)  # fmt: skip
def test_the_words_are_found_and_only_they(source, found):
    assert words_of(source) == found


def test_only_the_home_tasks_folder_knows_its_words():
    found = {(name_of(path), word) for path in outside() for word in words_of(path.read_text())}
    new = sorted(f"{file} says {word!r}" for file, word in found - MEANT_OTHERWISE.keys())
    assert not new, "\n".join(
        ["say it in the task's words (class, factor, group, rare), or in dataset/face_masks/:", *new]
    )
    assert found == MEANT_OTHERWISE.keys()  # or an exception is no longer needed


def test_only_named_files_import_the_home_task():
    found = set()
    for path in outside():
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            if any(name.startswith("dataset.face_masks") for name in names):
                found.add(name_of(path))
    assert found == REGISTERED.keys()
