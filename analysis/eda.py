"""What a data set looks like, on one page; a faulty set gets its page too, with the faults named."""

from base64 import b64encode
from pathlib import Path

import cv2
import pandas as pd

from analysis import eda_facts, eda_plots
from analysis.page import write_page
from dataset.errors import CallersMistake
from dataset.labels import AGE_BANDS, CLASS_NAMES, GENDERS
from dataset.photos import scan_eval, scan_train
from dataset.pixels import read_photo, resize

SAMPLES = 4
SAMPLE_HEIGHT = 160  # pixels; shown smaller, so that they are sharp on dense screens too
MOST_FAULTS = 200
SIZES = ["width", "height"]
FILES = ["extension", "format", "mode"]


def write_eda(data: Path, out: Path, seed: int = 0) -> Path:
    """Writes OUT/eda.html about the set in the folder `data` (competition's layout) and returns its path.

    `seed` chooses the sample photos. Faults of the set are listed on the page; CallersMistake only where
    nothing of it can be read, or `out` is a file.
    """
    data, out = Path(data), Path(out)
    if out.exists() and not out.is_dir():
        raise CallersMistake(f"--out {out} is a file; give a folder for eda.html")
    train, faults = scan_train(data)
    photos, eval_faults = scan_eval(data)
    faults = list(dict.fromkeys([*faults, *eval_faults]))
    if train.empty and photos.empty:
        raise CallersMistake(faults)
    both = pd.concat([train.assign(half="train"), photos.assign(half="eval")], ignore_index=True)
    headers, unreadable = eda_facts.read_headers(both)
    shown = _thumbnails(train[train["path"].isin(headers["path"])], seed)
    by = {column: eda_facts.counts_by(train, column) for column in eda_facts.NAMES}
    faults += unreadable
    return write_page(
        out / "eda.html",
        "eda.html.j2",
        name=data.absolute().name,
        people=train["person"].nunique(),
        photos=len(train),
        eval_photos=len(photos),
        by=[(title, by[column]) for column, title in _TITLES.items()],
        by_class=by["label"],
        absent=by["label"].loc[by["label"]["photos"] == 0, "name"].tolist(),
        cross=eda_facts.people_by_gender_and_band(train).tolist(),
        genders=[*GENDERS, "all"],
        bands=[*AGE_BANDS, "all"],
        ages=None if train.empty else eda_plots.ages(eda_facts.people_by_age(train)),
        classes=eda_plots.classes(by["label"]),
        sizes=eda_facts.kinds(headers, SIZES),
        files=eda_facts.kinds(headers, FILES),
        bytes=headers.groupby("half")["bytes"].agg(["sum", "median"]).to_dict("index"),
        samples=shown,
        faults=faults[:MOST_FAULTS],
        more_faults=len(faults) - MOST_FAULTS,
        n_faults=len(faults),
    )


_TITLES = {"gender": "Gender", "age_band": "Age band", "mask": "Mask"}


def _thumbnails(table: pd.DataFrame, seed: int) -> list[dict]:
    """Each class with its sample photos as data URLs; a photo that can't be decoded is passed over."""
    rows = []
    for label, photos in eda_facts.samples(table, SAMPLES, seed).items():
        pictures = []
        for photo in photos.itertuples():
            try:
                url = _thumbnail(photo.path)
            except CallersMistake:
                continue
            pictures.append({"url": url, "title": f"{photo.photo}, {photo.age} years"})
        rows.append({"name": CLASS_NAMES[label], "pictures": pictures})
    return rows


def _thumbnail(path: str) -> str:
    photo = read_photo(path)
    height, width = photo.shape[:2]
    if height > SAMPLE_HEIGHT:
        photo = resize(photo, (SAMPLE_HEIGHT, max(1, round(width * SAMPLE_HEIGHT / height))))
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + b64encode(jpeg.tobytes()).decode()
