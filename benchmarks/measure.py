"""Measures rivals in turn, several times each, so that a busy minute of the machine affects all of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

Way = Callable[[], float]


@dataclass(frozen=True)
class Row:
    """One line of the table. `values`: for each way one number per repeat; larger is better for a speed."""

    what: str
    unit: str
    values: Mapping[str, list[float]]
    ours: str
    rival: str

    def ratio(self) -> tuple[float, float, float]:
        """ours / rival: the median of the repeats' own ratios, the smallest and the largest of them."""
        pairs = zip(self.values[self.ours], self.values[self.rival], strict=True)
        ratios = [ours / rival for ours, rival in pairs]
        return median(ratios), min(ratios), max(ratios)

    def __str__(self) -> str:
        middle, smallest, largest = self.ratio()
        ours, rival = (median(self.values[name]) for name in (self.ours, self.rival))
        return (
            f"{self.what:44} {ours:10.4g} {self.unit:9} {rival:10.4g} {self.rival:28} "
            f"{middle:6.2f}  ({smallest:.2f} to {largest:.2f}, {len(self.values[self.ours])} times)"
        )


def in_turn(ways: Mapping[str, Way], repeats: int = 5, warm_up: int = 1) -> dict[str, list[float]]:
    """`repeats` numbers of each way, measured in rounds; the first `warm_up` rounds do not count."""
    values: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(warm_up + repeats):
        for name, way in ways.items():
            value = way()
            if turn >= warm_up:
                values[name].append(value)
    return values


HEADER = f"{'':44} {'ours':>20} {'rival':>10} {'':28} {'ratio':>6}  (of single rounds)"
