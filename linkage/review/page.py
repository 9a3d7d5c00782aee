"""The queue as a page in the browser of this machine, worked with the keyboard.

It listens on 127.0.0.1 alone, on a free port, under an address that holds a random token: another user or a web page
elsewhere cannot guess it. A request needs the right token, a Host header that is this server's own (or a strange name
pointed at 127.0.0.1 could read along), and, to decide, JSON from this very page. Nothing is loaded from anywhere else,
nothing is cached, and no request is logged.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from linkage.review import decisions as reviewed
from linkage.review.desk import Desk, Question, labels
from linkage.review.words import GROUNDS

#: A decision is a few hundred bytes.
MAX_BODY = 4_000


class ReviewServer(ThreadingHTTPServer):
    """The page of one reviewer. ``url`` opens it; ``serve_forever`` runs it, ``shutdown`` ends it."""

    daemon_threads = True

    def __init__(self, desk: Desk, port: int = 0) -> None:
        self.desk = desk
        self.token = secrets.token_urlsafe(24)
        self.page = files("linkage.review").joinpath("page.html").read_text(encoding="utf-8")
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        """The whole address, token included: for the reviewer's eyes and browser only."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    @property
    def hosts(self) -> tuple[str, ...]:
        """What a request may call this server."""
        return f"127.0.0.1:{self.server_port}", f"localhost:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A broken connection is nobody's news, and a traceback could hold a value."""

    def policy(self) -> str:
        """A content security policy that allows this page's own style and script, by their hashes, and no more."""

        def digest(tag: str) -> str:
            found = re.search(f"<{tag}>(.*?)</{tag}>", self.page, re.S)
            body = found.group(1) if found else ""
            return "'sha256-" + base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() + "'"

        return (
            f"default-src 'none'; script-src {digest('script')}; style-src {digest('style')}; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "kinweave", ""

    def do_GET(self) -> None:
        """The page, or the next question."""
        path = self._path()
        if path == "":
            self._send(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
        elif path == "next":
            self._json(HTTPStatus.OK, self._next(set()))
        elif path is not None and path.startswith("next/"):
            self._json(HTTPStatus.OK, self._next(set(path[5:].split(","))))
        else:
            self._json(HTTPStatus.NOT_FOUND, {"error": "there is nothing here"})

    def do_POST(self) -> None:
        """Take down a decision."""
        path = self._path()
        origin = self.headers.get("Origin")
        own = origin is None or urlsplit(origin).netloc in self.server.hosts
        is_json = (self.headers.get("Content-Type") or "").split(";")[0].strip() == "application/json"
        if path != "decide" or not own or not is_json:
            self.close_connection = True
            self._json(HTTPStatus.NOT_FOUND, {"error": "there is nothing here"})
            return
        length = self.headers.get("Content-Length") or ""
        if not length.isdigit() or int(length) > MAX_BODY:
            self.close_connection = True
            self._json(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": "this is no decision"})
            return
        try:
            data = json.loads(self.rfile.read(int(length)))
            item, level, reason = (data[name] for name in ("item", "level", "reason"))
            if not all(isinstance(v, str) for v in (item, level, reason)):
                raise ValueError
        except (ValueError, KeyError, TypeError):
            self._json(HTTPStatus.BAD_REQUEST, {"error": "this is no decision"})
            return
        try:
            told = self.server.desk.decide(item, level, reason)
        except reviewed.ReviewError as error:
            self._json(HTTPStatus.CONFLICT, {"error": str(error)})
            return
        self._json(HTTPStatus.OK, {"told": told.words, "state": told.state})

    def _path(self) -> str | None:
        """The path behind the token; None for anybody who may not come in."""
        parts = urlsplit(self.path).path.split("/", 2)
        given = parts[1] if len(parts) == 3 else ""
        known = hmac.compare_digest(given.encode("utf-8", "replace"), self.server.token.encode())
        if not known or self.headers.get("Host") not in self.server.hosts:
            return None
        return parts[2]

    def _next(self, skipped: set[str]) -> dict[str, Any]:
        desk = self.server.desk
        waiting = desk.open()
        left = [q for q in waiting if q.item not in skipped] or waiting
        if not left:
            return {"left": 0, "reviewer": desk.reviewer}
        question: Question = left[0]
        records = desk.records([question])
        a, b = (records[key] for key in question.pair)
        return {
            "left": len(waiting),
            "reviewer": desk.reviewer,
            "role": desk.role,
            "item": question.item,
            "why": question.why,
            "words": question.words,
            "consequence": question.consequence,
            "said": desk.said(question),
            "grounds": list(GROUNDS),
            "rows": [[label, a.get(label, ""), b.get(label, "")] for label in labels(a, b)],
        }

    def _json(self, status: HTTPStatus, data: dict[str, Any]) -> None:
        self._send(status, json.dumps(data), "application/json")

    def _send(self, status: HTTPStatus, body: str, kind: str) -> None:
        raw = body.encode("utf-8")
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(raw))),
            ("Cache-Control", "no-store"),
            ("Content-Security-Policy", self.server.policy()),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: the address holds the token."""
