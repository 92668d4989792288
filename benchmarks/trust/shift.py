"""Is a shift between train and the photos to predict seen, and none where there is none?

    python -m benchmarks.trust.shift DATA [--out out/shift_check]

The photos to predict of DATA are compared with those to train on, as by `python -m analysis shift`: as they
are, and with a change that is planted in all of them. A line says how well the halves are told apart, how
well random halves of train are, and which measures are named as different. Features of the packaged network
are kept in OUT.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import pandas as pd

from analysis.audit.features import features_of, packaged
from analysis.predict.trained import Trained
from analysis.trust.shift import Shift, measures_of, shift_of
from dataset.pixels import read_photo
from dataset.read import read_eval, read_train

Change = Callable[[np.ndarray], np.ndarray]  # of pixels (height, width, 3)


def darker(by: float) -> Change:
    return lambda photo: (photo * (1 - by)).round().astype(np.uint8)


def blurred(photo: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(photo, (0, 0), 1)


def compressed(photo: np.ndarray) -> np.ndarray:
    _, jpeg = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 40])
    pixels = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    assert pixels is not None
    return pixels


def closer(photo: np.ndarray) -> np.ndarray:
    """The middle 90 % of both sides, as large as before."""
    height, width = photo.shape[:2]
    top, left = round(0.05 * height), round(0.05 * width)
    return cv2.resize(photo[top : height - top, left : width - left], (width, height))


NOTHING = "nothing"
CHANGES: Mapping[str, Change | None] = MappingProxyType(
    {
        NOTHING: None, "10 % darker": darker(0.1), "20 % darker": darker(0.2), "blurred": blurred,
        "JPEG quality 40": compressed, "closer by 10 %": closer,
    }
)  # fmt: skip


def planted(photos: pd.DataFrame, change: Change, folder: Path) -> pd.DataFrame:
    """The photos with a change, as lossless files in `folder`."""
    paths = [str(folder / f"{number}.png") for number in range(len(photos))]
    for before, after in zip(photos["path"], paths, strict=True):
        cv2.imwrite(after, cv2.cvtColor(change(read_photo(before)), cv2.COLOR_RGB2BGR))
    return photos.assign(path=paths)


class Looked:
    """The features and measures of photos, kept by name in a folder."""

    def __init__(self, trained: Trained, out: Path):
        self._trained, self._out = trained, out
        out.mkdir(parents=True, exist_ok=True)

    def at(self, photos: pd.DataFrame, name: str, change: Change | None) -> tuple[np.ndarray, pd.DataFrame]:
        features, measures = (self._out / f"{name}.{end}" for end in ("npy", "csv"))
        if not features.exists() or not measures.exists():
            with tempfile.TemporaryDirectory() as folder:
                changed = planted(photos, change, Path(folder)) if change else photos
                measures_of(changed["path"]).to_csv(measures, index=False)
                if not features.exists():
                    np.save(features, features_of(self._trained, changed))
        return np.load(features), pd.read_csv(measures)


def found(
    data: Path, out: Path, changes: Mapping[str, Change | None] = CHANGES
) -> Iterator[tuple[str, Shift]]:
    """(Change, what is seen)."""
    (task, table), photos = read_train(data), read_eval(data)
    looked = Looked(packaged(task), out)
    train, measured = looked.at(table, "train", None)
    groups = table["group"].to_numpy(str)
    for name, change in changes.items():
        its, its_measured = looked.at(photos, name, change)
        yield name, shift_of((train, its), groups, (measured, its_measured))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("out/shift_check"))
    asked = parser.parse_args(arguments)
    for name, shift in found(asked.data, asked.out):
        verdict = "differs" if shift.differs else "no shift"
        named = ", ".join(shift.notable) or "none"
        print(
            f"{name:16} AUC {shift.auc}, random halves {shift.reference:.3f}: {verdict}; named: {named}",
            flush=True,
        )


if __name__ == "__main__":
    main()
