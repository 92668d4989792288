"""Draw a synthetic data set with known labels in the competition's layout, for use without real photos."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from common.errors import UsageError
from common.files import folder_atomic, only_writer_of_out, refuse_taken
from common.progress import track
from dataset.face_masks.drawing.people import Person, sample_groups, sample_person
from dataset.face_masks.drawing.portrait import portrait
from dataset.face_masks.labels import AGE_BANDS, GENDERS, PHOTO_MASKS, age_band, encode

RACE = "Asian"  # as in every line of the competition's train.csv
EXTENSION_FRACTIONS = ((".jpg", 0.9), (".jpeg", 0.07), (".png", 0.03))
TRAIN, EVAL = 0, 1  # random streams


@only_writer_of_out
def draw(
    out: Path,
    people: int = 60,
    eval_people: int | None = None,
    folds: int = 5,
    seed: int = 0,
    height: int = 256,
    width: int = 192,
    progress: bool = False,
) -> Path:
    """Draw `people` people to train on, at least `folds` of every gender and age band, and an eval half of
    `eval_people` people: half as many by default, at least one of every gender and age band. Returns `out`.

    Writes out/train, out/eval and out/answers.csv (ImageID,ans: the labels of the eval half), with seven
    photos of height x width pixels per person. The same arguments give the same bytes. `progress` shows a
    bar. UsageError if `out` exists and is not an empty folder, or if there are too few people or pixels.
    """
    out = Path(out)
    refuse_taken(out)
    if height < 16 or width < 12:
        raise UsageError(f"photos of {height}x{width} are too small to draw a face; use 64x48 or more")
    eval_count = max(people // 2, len(GENDERS) * len(AGE_BANDS)) if eval_people is None else eval_people
    train_drawn = _people(people, folds, seed, TRAIN)
    eval_drawn = _people(eval_count, 1, seed, EVAL)
    with folder_atomic(out) as part:
        jobs = [*_train_half(part / "train", train_drawn, seed), *_eval_half(part, eval_drawn, seed)]
        with ThreadPoolExecutor() as threads:
            done = threads.map(lambda job: _write_photo(*job, height, width), jobs)
            for _ in zip(track(jobs, "drawing people", "photos") if progress else jobs, done, strict=True):
                pass
    return out


def _people(count: int, at_least: int, seed: int, half: int) -> list[Person]:
    groups = sample_groups(count, at_least, np.random.default_rng([seed, half]))
    return [
        sample_person(*group, np.random.default_rng([seed, half, number]))
        for number, group in enumerate(groups)
    ]


def _train_half(folder: Path, people: list[Person], seed: int):
    """Make the folders and train.csv; yield the arguments of `_write_photo` for each photo."""
    rng = np.random.default_rng([seed, TRAIN, len(people)])
    extensions, fractions = zip(*EXTENSION_FRACTIONS, strict=True)
    # Ids with gaps, as in the competition.
    ids = np.sort(rng.choice(4 * len(people), len(people), replace=False)) + 1
    lines = ["id,gender,race,age,path"]
    for number, (person, name) in enumerate(zip(people, ids, strict=True)):
        gender = GENDERS[person.gender]
        path = f"{name:06d}_{gender}_{RACE}_{person.age}"
        lines.append(f"{name:06d},{gender},{RACE},{person.age},{path}")
        (folder / "images" / path).mkdir(parents=True)
        extension = extensions[rng.choice(len(fractions), p=fractions)]
        for shot, (stem, mask) in enumerate(PHOTO_MASKS.items()):
            yield folder / "images" / path / (stem + extension), person, mask, [seed, TRAIN, number, shot]
    (folder / "train.csv").write_text("\n".join(lines) + "\n")


def _eval_half(root: Path, people: list[Person], seed: int):
    """Make the folders, info.csv and answers.csv; yield the arguments of `_write_photo` for each photo."""
    images = root / "eval" / "images"
    images.mkdir(parents=True)
    answers = {}
    for number, person in enumerate(people):
        for shot, mask in enumerate(PHOTO_MASKS.values()):
            name = hashlib.sha1(f"{seed} {number} {shot}".encode()).hexdigest() + ".jpg"
            answers[name] = encode(mask, person.gender, age_band(person.age))
            yield images / name, person, mask, [seed, EVAL, number, shot]
    names = sorted(answers)
    (root / "eval" / "info.csv").write_text("ImageID,ans\n" + "".join(f"{name},0\n" for name in names))
    (root / "answers.csv").write_text(
        "ImageID,ans\n" + "".join(f"{name},{answers[name]}\n" for name in names)
    )


def _write_photo(path: Path, person: Person, mask: int, seeds: list[int], height: int, width: int) -> None:
    pixels = portrait(person, mask, height, width, np.random.default_rng(seeds))
    kind = ".png" if path.suffix == ".png" else ".jpg"
    quality = [] if kind == ".png" else [cv2.IMWRITE_JPEG_QUALITY, 90]
    encoded, data = cv2.imencode(kind, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), quality)
    assert encoded, path
    path.write_bytes(data.tobytes())
