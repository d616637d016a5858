"""One port for probes, Prometheus and people: routes to functions, and the page's own files."""

import errno
import re
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from socketserver import TCPServer
from string import Template
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeAlias
from urllib.parse import urlsplit

import msgspec
from typing_extensions import override

from agent.service.health import Health, Verdict
from agent.service.status import Status

JSON = "application/json"
MOST = 64  # connections at a time
HTML, SCRIPT, STYLE = (f"text/{kind}; charset=utf-8" for kind in ("html", "javascript", "css"))
PAGE = {
    "/live.js": ("live.js", SCRIPT),
    "/charts.js": ("charts.js", SCRIPT),
    "/page.css": ("page.css", STYLE),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/uPlot.iife.min.js": ("uplot/uPlot.iife.min.js", SCRIPT),
    "/uPlot.min.css": ("uplot/uPlot.min.css", STYLE),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Connection": "close",
}


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where the port is.

    Args:
        host: address to listen on; the loopback one keeps the page to this machine.
        port: 0 takes any free port.
        timeout: seconds that a client may keep the server waiting.
    """

    host: str = "127.0.0.1"
    port: int = 8642
    timeout: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not 0 <= self.port <= 65_535:  # noqa: PLR2004 - the range of ports
            raise ValueError(f"port is {self.port}: give 0 (any free port) to 65535")
        if not self.timeout > 0:
            raise ValueError(f"timeout is {self.timeout}: give seconds above 0")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a route answers."""

    body: bytes
    kind: str = JSON
    code: int = HTTPStatus.OK


Route: TypeAlias = Callable[[], Reply]


class Tells(Protocol):
    """What a page asks for."""

    def now(self) -> bytes:
        """Give /status.json."""
        ...

    def history(self, span: Literal["run", "recent"]) -> bytes:
        """Give /history/*.json."""
        ...


class PortError(Exception):
    """The port cannot be had; the message says what to do."""


def routes(
    status: Status, health: Health, metrics: Callable[[], tuple[bytes, str]]
) -> dict[str, Route]:
    """Give every path the daemon answers, with what answers it."""
    return {
        **plain_routes(status, health, metrics),
        **page_routes("agent.service", "adaptd", "page.js"),
    }


def plain_routes(
    status: Tells, health: Health, metrics: Callable[[], tuple[bytes, str]]
) -> dict[str, Route]:
    """Give what every port here answers: figures, metrics, probes, and the page's files."""
    return {
        "/status.json": lambda: Reply(status.now()),
        "/history/run.json": lambda: Reply(status.history("run")),
        "/history/recent.json": lambda: Reply(status.history("recent")),
        "/metrics": lambda: Reply(*metrics()),
        "/healthz": lambda: _verdict(health.alive(), age=health.age()),
        "/readyz": lambda: _verdict(health.ready(), age=health.age()),
        **{path: _file(name, kind) for path, (name, kind) in PAGE.items()},
    }


def page_routes(package: str, title: str, script: str, style: str = "") -> dict[str, Route]:
    """Give a page of its own: `page/index.html` of a package in the frame of all, and its files.

    Args:
        package: has the folder `page`.
        title: of the page, until it knows what runs.
        script: that draws it, in the folder.
        style: over that of all; none by default.
    """
    folder = files(package).joinpath("page")
    parts = re.split(r"<!-- part: (\w+) -->\n", folder.joinpath("index.html").read_text("utf-8"))
    frame = Template(files("agent.service").joinpath("page", "frame.html").read_text("utf-8"))
    styles = f'<link rel="stylesheet" href="{style}">\n' if style else ""
    filled = dict(zip(parts[1::2], (part.rstrip("\n") for part in parts[2::2]), strict=True))
    text = frame.substitute(filled, title=title, script=script, styles=styles)
    own = {script: SCRIPT} | ({style: STYLE} if style else {})
    page = Reply(text.encode(), HTML)
    return {"/": lambda: page} | {
        f"/{name}": _file(name, kind, package) for name, kind in own.items()
    }


class Web:
    """The server on a thread of its own; `with Web(...) as web: web.url`."""

    def __init__(self, settings: WebSettings, answers: Mapping[str, Route]) -> None:
        handler = type("_Bound", (_Handler,), {"answers": answers, "timeout": settings.timeout})
        server = _Server6 if ":" in settings.host else _Server
        try:
            self._server = server((settings.host, settings.port), handler)
        except OSError as error:
            raise PortError(_remedy(settings, error)) from error
        self.host, self.port = self._server.server_address[:2]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="web", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the page is."""
        host = str(self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def close(self) -> None:
        """Stop answering and free the port; safe to call twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Handler(BaseHTTPRequestHandler):
    """Looks the path up; every answer has its length and closes the connection."""

    protocol_version = "HTTP/1.1"
    server_version = "adaptd"
    sys_version = ""
    answers: Mapping[str, Route] = {}

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        route = self.answers.get(urlsplit(self.path).path)
        reply = _missing(self.answers) if route is None else _guarded(route)
        self.send_response(reply.code)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: probes come every few seconds."""


class _Server(ThreadingHTTPServer):
    """A thread a connection, `MOST` at a time: the oldest gives way to the newest."""

    daemon_threads = True
    request_queue_size = MOST

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._lock = threading.Lock()
        self._open: dict[Any, None] = {}  # in the order in which they came
        super().__init__(address, handler)

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        """Make room: whoever dawdles over many connections keeps no probe out."""
        with self._lock:
            self._open[request] = None
            oldest = next(iter(self._open)) if len(self._open) > MOST else None
            self._open.pop(oldest, None)
        if oldest is not None:
            with suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)  # its thread wakes and ends
        super().process_request(request, client_address)

    @override
    def shutdown_request(self, request: Any) -> None:
        """Forget the connection and close it."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    @override
    def server_bind(self) -> None:
        """Bind without the base's look-up of the host's name, which waits for a name server."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "", 0  # the base's; only CGI reads them

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about clients that go away: there is nobody to answer."""


class _Server6(_Server):
    address_family = socket.AF_INET6


def _remedy(settings: WebSettings, error: OSError) -> str:
    where = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is taken: choose another port, or 0 for any free one"
    if error.errno == errno.EACCES:
        return f"{where} is not allowed for this user: choose a port above 1023"
    return f"cannot listen on {where}: {error.strerror or error}; 127.0.0.1 always works"


def _verdict(verdict: Verdict, age: float) -> Reply:
    body = {"ok": verdict.ok, "reasons": verdict.reasons, "progress_age_seconds": round(age, 3)}
    code = HTTPStatus.OK if verdict.ok else HTTPStatus.SERVICE_UNAVAILABLE
    return Reply(msgspec.json.encode(body), code=code)


def _file(name: str, kind: str, package: str = "agent.service") -> Route:
    reply = Reply(files(package).joinpath("page", name).read_bytes(), kind)
    return lambda: reply


def _missing(answers: Mapping[str, Route]) -> Reply:
    body = {"error": "no such page", "pages": sorted(answers)}
    return Reply(msgspec.json.encode(body), code=HTTPStatus.NOT_FOUND)


def _guarded(route: Route) -> Reply:
    try:
        return route()
    except Exception as error:  # noqa: BLE001 - an asker must not see a hung connection
        body = {"error": f"{type(error).__name__}: {error}"}
        return Reply(msgspec.json.encode(body), code=HTTPStatus.INTERNAL_SERVER_ERROR)
