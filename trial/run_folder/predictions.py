"""Tables of predictions, as validation.parquet: a row per photo, with a column of probabilities per class."""

import re
from typing import TYPE_CHECKING

from trial.metrics import Scores, score_probabilities

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

IS_PROBABILITY = re.compile(r"p\d\d+")  # of class 0: p00


def probability_columns(n_classes: int) -> list[str]:
    """The columns of the classes' probabilities: p00, p01, ..."""
    return [f"p{label:02d}" for label in range(n_classes)]


def probabilities_of(table: "pd.DataFrame") -> "np.ndarray":
    """The probabilities (photos, classes) in a table of predictions."""
    return table[[name for name in table if IS_PROBABILITY.fullmatch(name)]].to_numpy()


def with_probabilities(table: "pd.DataFrame", probabilities: "np.ndarray") -> "pd.DataFrame":
    """The table of predictions with these probabilities (photos, classes)."""
    columns = probability_columns(probabilities.shape[1])
    return table.assign(**dict(zip(columns, probabilities.T, strict=True)))


def scores_of(table: "pd.DataFrame") -> Scores:
    """Scores of a table of predictions that has the labels, too (label)."""
    return score_probabilities(table["label"].to_numpy(), probabilities_of(table))
