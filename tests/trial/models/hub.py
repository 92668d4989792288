"""A server on this machine that answers a download as Hugging Face's hub does."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

NO_COMMIT = "0" * 40


class Hub(BaseHTTPRequestHandler):
    """Hugging Face's hub as far as a download asks it: `files` by path, 404 (or `missing`) for the rest.
    `commits`: by repository and revision, of those that were pushed."""

    files: ClassVar[dict[str, bytes]]
    asked: ClassVar[list[str]]
    commits: ClassVar[dict[tuple[str, str], str]] = {}
    missing = 404

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.wfile.write(self.answer())

    def answer(self) -> bytes:
        self.asked.append(f"{self.command} {self.path}")
        content = self.files.get(self.path, b"")
        self.send_response(200 if content else self.missing)
        if content:
            repository, _, rest = self.path[1:].partition("/resolve/")
            commit = self.commits.get((repository, rest.partition("/")[0]), NO_COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", commit)
        elif self.missing == 404:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return content

    def log_message(self, *words: object) -> None:
        pass

    @classmethod
    def push(
        cls, repository: str, files: Mapping[str, bytes], card: Any = None, revision: str = "main"
    ) -> str:
        """Make `files` the content of a repository's revision; the new commit. `card`: what its card states."""
        content = repr((repository, sorted(files.items()), card)).encode()
        commit = hashlib.sha1(content).hexdigest()
        for asked_for in (revision, commit):
            cls.commits[repository, asked_for] = commit
            for name, file in files.items():
                cls.files[f"/{repository}/resolve/{asked_for}/{name}"] = file
        about = {"id": repository, "sha": commit, "siblings": [{"rfilename": name} for name in files]}
        about |= {"cardData": card} if card else {}
        cls.files[f"/api/models/{repository}/revision/{commit}"] = json.dumps(about).encode()
        return commit


@contextmanager
def served(hub: type[Hub]) -> Iterator[str]:
    """The address at which `hub` answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), hub)
    Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def go_to(monkeypatch: Any, address: str) -> None:
    """What HF_ENDPOINT does at import."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
