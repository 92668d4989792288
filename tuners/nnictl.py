"""nnictl, which waits until the manager that it has started answers.

NNI's own gives up after three seconds, which are too few on a busy machine, and takes the answer of any
manager on the port: if two are started there at once, one of them gets the experiments of both.
"""

import sys
import time
from contextlib import suppress

import psutil
from nni.experiment import launcher
from nni.tools.nnictl.nnictl import parse_args

SECONDS = 60  # a manager that lives and does not answer for so long will not


def check_rest_server(port: int, retry: int = 3, url_prefix: str | None = None) -> None:
    """Return when a child of this process answers on `port`. If it has died, or after SECONDS: RuntimeError
    if another program has the port, else what the request raises."""
    ends = time.monotonic() + SECONDS
    while managers := _managers():
        with suppress(Exception):  # NNI's are those of requests and its own
            if any(_listens(manager, port) for manager in managers):
                return launcher.rest.get(port, "/check-status", url_prefix)
        if time.monotonic() > ends:
            break
        time.sleep(0.2)
    launcher._ensure_port_idle(port)
    return launcher.rest.get(port, "/check-status", url_prefix)


def _managers() -> list[psutil.Process]:
    """The programs that this process has started and that live."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]


def _listens(process: psutil.Process, port: int) -> bool:
    connections = process.net_connections("tcp")
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in connections)


if __name__ == "__main__":
    launcher._check_rest_server = check_rest_server
    sys.exit(parse_args())
