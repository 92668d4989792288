"""Which photos an epoch of training sees, by name. Never applied to validation.

SAMPLERS draw photos, COPIES add copies of photos of rare classes. Builders of COPIES take the task and return
`change(table) -> table` of DataFrames of photos; those of SAMPLERS return `weigh(labels (N,)) -> (N,)`, the
probabilities to be drawn, or None for each photo once an epoch.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import numpy as np

from dataset.task import Task
from trial.choice import Fraction, Registry

if TYPE_CHECKING:
    import pandas as pd

Change = Callable[["pd.DataFrame"], "pd.DataFrame"]
Weigh = Callable[[np.ndarray], np.ndarray | None]
COPY = "copy"  # the column that numbers the generated copies of a photo; 0: the photo itself

# What the baseline did to its two generated sets of photos of the rare classes.
COPY_STEPS: tuple[list[dict], ...] = (
    [{"_name": "flip", "p": 0.3}, {"_name": "noise", "std": 0.05, "p": 1.0}],
    [
        {"_name": "color_jitter", "brightness": 0.1, "contrast": 0.1, "saturation": 0.1, "hue": 0.1},
        {"_name": "perspective", "distortion": 0.3, "p": 0.2},
    ],
)


def uniform() -> Weigh:
    """Every photo once an epoch."""
    return lambda labels: None


def class_balanced(*, power: Fraction = 1.0) -> Weigh:
    """Photos drawn with replacement, rare classes more often: at `power` 1 all classes equally often.

    An epoch has as many photos as there are. The probability of a class is proportional to its fraction of
    the photos to the power 1 - `power`: at 0 the classes keep their frequencies.
    """

    def weigh(labels: np.ndarray) -> np.ndarray:
        weights = np.bincount(labels)[labels].astype(float) ** -power
        return weights / weights.sum()

    return weigh


def none(task: Task) -> Change:
    """No copies."""
    return lambda table: table


def baseline(task: Task, *, sets: Annotated[int, (1, 2)] = 2) -> Change:
    """Add generated copies of the photos of rare classes, in one or two `sets`.

    The copies differ each epoch (COPY_STEPS); the recipe's own augmentation follows. The baseline went from
    193 people of its rare classes to 579 in this way.
    """

    def change(table: "pd.DataFrame") -> "pd.DataFrame":
        import pandas as pd

        rare = table[task.is_rare(table["label"])]
        copies = [rare.assign(**{COPY: number}) for number in range(1, sets + 1)]
        return pd.concat([table.assign(**{COPY: 0}), *copies])

    return change


SAMPLERS: Registry = {"uniform": uniform, "class_balanced": class_balanced}
COPIES: Registry = {"none": none, "baseline": baseline}
