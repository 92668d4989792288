import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A benchmark's command switches off the logs of its whole process."""
    before = logging.root.manager.disable
    yield
    logging.disable(before)
