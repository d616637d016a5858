"""A schema registry on loopback, as far as readers need one, which can also misbehave."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override


@dataclass
class FakeRegistry:
    """What it knows, how it behaves, and which paths it was asked for."""

    url: str = ""
    schemas: dict[int, Any] = field(default_factory=dict)
    more: dict[int, dict[str, Any]] = field(default_factory=dict)  # fields beside "schema"
    subjects: dict[str, Any] = field(default_factory=dict)  # path → answer
    login: str | None = None  # "user:password", where it asks for one
    broken: tuple[int, bytes] | None = None  # what it answers to everything
    asked: list[str] = field(default_factory=list)
    seen: list[str | None] = field(default_factory=list)  # Authorization headers

    def answer(self, path: str, authorization: str | None) -> tuple[int, bytes]:
        """Answer one request."""
        self.asked.append(path)
        self.seen.append(authorization)
        if self.broken is not None:
            return self.broken
        if self.login is not None:
            wanted = f"Basic {base64.b64encode(self.login.encode()).decode()}"
            if authorization != wanted:
                return 401, b'{"error_code":401,"message":"Unauthorized"}'
        if path in self.subjects:
            return 200, json.dumps(self.subjects[path]).encode()
        number = int(path.rpartition("/")[2]) if path.startswith("/schemas/ids/") else None
        if number in self.schemas:
            found = {"schema": json.dumps(self.schemas[number]), **self.more.get(number, {})}
            return 200, json.dumps(found).encode()
        return 404, b'{"error_code":40403,"message":"Schema not found"}'


@contextmanager
def registry() -> Iterator[FakeRegistry]:
    """Serve one on a free port of 127.0.0.1."""
    fake = FakeRegistry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, body = fake.answer(self.path, self.headers.get("Authorization"))
            self.send_response(code)
            if 300 <= code < 400:
                self.send_header("Location", body.decode())
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, format: str, *args: object) -> None:  # the base class' name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
