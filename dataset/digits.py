"""A small real data set in folders per class: the handwritten digits that scikit-learn brings along."""

from pathlib import Path

import cv2
import numpy as np

from common.files import folder_atomic, only_writer_of_out, refuse_taken

SIZE = 32  # pixels; scikit-learn has 8
TRAIN = 1500  # of 1,797 photos; the others are to be predicted


@only_writer_of_out
def write_digits(out: Path) -> Path:
    """Write train/DIGIT/*.png and eval/DIGIT/*.png to the new or empty folder `out`, and return it.

    1,797 digits by 43 people, whose ids are not given, so that the set has no groups. Source: Alpaydin and
    Kaynak 1998, Optical Recognition of Handwritten Digits (UCI), test half; CC BY 4.0.
    """
    from sklearn.datasets import load_digits

    out = Path(out)
    refuse_taken(out)
    digits = load_digits()
    with folder_atomic(out) as part:
        for number, (grey, label) in enumerate(zip(digits.images, digits.target, strict=True)):
            folder = part / ("train" if number < TRAIN else "eval") / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            photo = np.round(grey * 255 / 16).astype(np.uint8)
            enlarged = cv2.resize(photo, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
            written = cv2.imwrite(str(folder / f"{number:04d}.png"), enlarged)
            assert written, folder
    return out
