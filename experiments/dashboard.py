"""Optuna's dashboard of a search, on this machine only. It shows; it can't change the study, which a search
writes."""

import logging
import socketserver
import wsgiref.simple_server
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from common.errors import UsageError
from common.text import path_text
from experiments.checks.ports import free_port, port_errors

JOURNAL = "study.journal"  # written by tuners/study.py, which other rooms do not import
HOST = "127.0.0.1"
DEFAULT = 8180  # far from the ports of NNI's pages
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

logger = logging.getLogger(__name__)


def dashboard(folder: Path, port: int | None = None) -> WSGIServer:
    """The server of the dashboard of the experiment in `folder`; its `serve_forever` serves. UsageError if
    the search has no study."""
    if errors := port_errors(port):
        raise UsageError(errors)
    app = _read_only(_app(folder))
    server = wsgiref.simple_server.make_server(HOST, port or free_port(DEFAULT), app, _Server, _Quiet)
    logger.info(
        "dashboard of %s: http://%s:%d (Ctrl-C ends it)", path_text(folder), HOST, server.server_address[1]
    )
    return server


def _app(folder: Path) -> Wsgi:
    path = folder / JOURNAL
    if not path.is_file():
        raise UsageError(
            f"{path_text(folder)}: has no study: only searches by tuners.search.Search have one; "
            "python -m analysis report shows every experiment"
        )
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna_dashboard import wsgi

    try:
        storage = JournalStorage(JournalFileBackend(str(path)))
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise UsageError(f"{path_text(path)}: is damaged ({error!r})") from None
    return wsgi(storage)


def _read_only(app: Wsgi) -> Wsgi:
    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD", "OPTIONS"):
            return app(environ, start)
        start("405 Method Not Allowed", [("Content-Type", "application/json"), ("Allow", "GET")])
        return [b'{"reason": "this dashboard only shows the study"}']

    return answer


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        pass
