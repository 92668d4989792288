"""Kinds of values that others wrote. True and false, which Python takes for 1 and 0, are no numbers."""

import math
from typing import Any


def is_integer(value: Any, low: float = -math.inf, high: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
