"""nnictl, which waits for its manager while that starts: NNI's own gives up after three seconds, which are
too few on a busy machine."""

import sys
import time

import psutil
from nni.experiment import launcher
from nni.tools.nnictl.nnictl import parse_args

SECONDS = 60  # a manager that lives and does not answer for so long will not

_check = launcher._check_rest_server


def check_rest_server(port: int, retry: int = 3, url_prefix: str | None = None) -> None:
    """Return when the manager on `port` answers; raise what NNI raises if it has died, or after SECONDS."""
    ends = time.monotonic() + SECONDS
    while True:
        try:
            launcher.rest.get(port, "/check-status", url_prefix)
            return
        except Exception:  # NNI's are those of requests and its own
            if not _starting() or time.monotonic() > ends:
                break
        time.sleep(0.2)
    _check(port, 1, url_prefix)


def _starting() -> bool:
    """Whether a manager that this process has started lives."""
    children = psutil.Process().children()
    return any(child.status() != psutil.STATUS_ZOMBIE for child in children)


if __name__ == "__main__":
    launcher._check_rest_server = check_rest_server
    sys.exit(parse_args())
