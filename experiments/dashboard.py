"""Optuna's dashboard of a search, on this machine and for its user only. It shows; it can't change the study,
which a search writes."""

import json
import logging
import socketserver
import wsgiref.simple_server
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from common.errors import UsageError
from common.text import path_text
from experiments.access import is_others, refusal
from experiments.checks.ports import free_port, port_errors

JOURNAL = "study.journal"  # written by tuners/study.py, which other packages do not import
HOST = "127.0.0.1"
DEFAULT = 8180  # far from the ports of NNI's pages
FRAMES = ("X-Frame-Options", "SAMEORIGIN")  # no clicks through another page
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

logger = logging.getLogger(__name__)


def dashboard(folder: Path, port: int | None = None) -> WSGIServer:
    """The server of the dashboard of the experiment in `folder`; its `serve_forever` serves. UsageError if
    the search has no study."""
    if errors := port_errors(port):
        raise UsageError(errors)
    app = _guarded(_app(folder))
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


def _guarded(app: Wsgi) -> Wsgi:
    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        why, status = refusal(environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN")), "403 Forbidden"
        if not why and environ["REQUEST_METHOD"] not in ("GET", "HEAD", "OPTIONS"):
            why, status = "this dashboard only shows the study", "405 Method Not Allowed"
        if not why:
            return app(environ, lambda status, headers, *more: start(status, [*headers, FRAMES], *more))
        start(status, [("Content-Type", "application/json"), ("Allow", "GET")])
        return [json.dumps({"reason": why}).encode()]

    return answer


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return not is_others(request)


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        pass
