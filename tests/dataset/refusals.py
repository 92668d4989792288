"""The message by which a data set is refused."""

from collections.abc import Callable
from typing import Any

from common.errors import errors_of


def refused(read: Callable[..., Any], *given: Any, **named: Any) -> str:
    """The one message."""
    (message,) = errors_of(read, *given, **named)
    return message
