"""A server on this machine that answers a download as Hugging Face's hub does."""

from http.server import BaseHTTPRequestHandler
from typing import ClassVar


class Hub(BaseHTTPRequestHandler):
    """Hugging Face's hub as far as a download asks it: `files` by path, 404 (or `missing`) for the rest."""

    files: ClassVar[dict[str, bytes]]
    asked: ClassVar[list[str]]
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
            self.send_header("ETag", '"1"')
            self.send_header("X-Repo-Commit", "0" * 40)
        elif self.missing == 404:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return content

    def log_message(self, *words: object) -> None:
        pass
