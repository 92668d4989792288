"""The task as a value: which classes, of which factors, and what a group of photos is."""

import itertools
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Bands:
    """A factor that is a number cut into bands: value 0 is below `edges[0]`, value 1 from there on, ...

    `column`: of the DataFrame of photos, where the number is; `unit`: its unit in the plural ('years'), ''
    if it has none.
    """

    column: str
    edges: tuple[float, ...]
    unit: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the bands, in order: <5, 5-<20, 20+."""
        between = (f"{low}-<{high}" for low, high in itertools.pairwise(self.edges))
        return f"<{self.edges[0]}", *between, f"{self.edges[-1]}+"

    @property
    def title(self) -> str:
        """What the numbers are: size in cm."""
        return f"{self.column} in {self.unit}" if self.unit else self.column

    def text(self, number: Any) -> str:
        """A number with its unit: 34 cm."""
        return f"{number} {self.unit}".rstrip()

    def index(self, number: Any) -> Any:
        """The index of the band of a number, or of an array of numbers."""
        import numpy as np

        return np.searchsorted(self.edges, number, side="right")


@dataclass(frozen=True)
class Task:
    """What is asked of the photos. It is read with the data (dataset/read.py) and kept in each run folder.

    `classes`: names in the order of their labels, 0 to n_classes - 1. `factors`: {name: names of its values},
    in the order that makes the classes their product, the last one changing fastest; {} if there are none.
    `group` and `groups`: what a group is, in the singular and the plural (person, people). `answers`: what
    submission.csv says for each class, by default its name. `rare`: labels of the rare classes, together
    called `rare_name`. `bands`: {factor: Bands} of factors that were numbers.
    """

    name: str
    classes: tuple[str, ...]
    factors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    group: str = "group"
    groups: str = "groups"
    answers: tuple[str, ...] = ()
    rare: tuple[int, ...] = ()
    rare_name: str = "rare classes"
    bands: Mapping[str, Bands] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.answers:
            object.__setattr__(self, "answers", self.classes)

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    @property
    def column(self) -> str:
        """The name of the groups' column in files: what a group is called, 'group' if that is another
        column's name."""
        taken = self.group in ("photo", "fold", "label") or re.fullmatch(r"p\d\d+", self.group)
        return "group" if taken else self.group

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of values of each factor."""
        return tuple(map(len, self.factors.values()))

    def label(self, values: Mapping[str, Any]) -> Any:
        """The label of {factor: index of its value}; also for arrays of indices."""
        import numpy as np

        return np.ravel_multi_index([values[factor] for factor in self.factors], self.sizes)

    def is_rare(self, labels: Any) -> "np.ndarray":
        """Whether each of `labels` (N,) is of a rare class: bool (N,)."""
        import numpy as np

        return np.isin(labels, self.rare)

    def to_json(self) -> dict[str, Any]:
        """The task in plain JSON values; `from_json` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Task":
        """The task of `to_json`. TypeError, ValueError, KeyError or AttributeError if the values are not a
        task's."""
        texts = [values[name] for name in ("name", "group", "groups", "rare_name")]
        texts += [*values["classes"], *values["answers"]]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a name is not a text")
        lists = {name: tuple(values[name]) for name in ("classes", "answers", "rare")}
        factors = {name: tuple(names) for name, names in values["factors"].items()}
        bands = {
            name: Bands(own["column"], tuple(own["edges"]), own["unit"])
            for name, own in values["bands"].items()
        }
        task = cls(**{**values, **lists, "factors": factors, "bands": bands})
        sizes = {len(task.classes), len(task.answers), math.prod(task.sizes) if factors else task.n_classes}
        if sizes != {task.n_classes} or not task.classes or not set(task.rare) <= set(range(task.n_classes)):
            raise ValueError("classes, factors, answers and rare classes do not fit together")
        return task


class Scan(NamedTuple):
    """What was read of a data set: its task, the DataFrame of photos, and all errors.

    Columns of `table`: photo, path, group, label and a column for each factor (index of its value).
    `table.attrs["notes"]` lists what was skipped, or should be known.
    """

    task: Task
    table: "pd.DataFrame"
    errors: list[str]


def rare_labels(counts: Collection[int]) -> tuple[int, ...]:
    """The labels of classes with less than half of an even share of the groups; `counts` (n_classes,) of the
    groups with a photo of each class. Classes without a photo (combinations of factors that there are not)
    have no share, and are not rare."""
    import numpy as np

    counts = np.asarray(counts)
    present = counts > 0
    return tuple(np.flatnonzero(present & (counts < counts.sum() / max(1, present.sum()) / 2)).tolist())
