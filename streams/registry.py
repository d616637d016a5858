"""A schema registry: asks it for schemas by their ids, over HTTP."""

import base64
import json
import math
import ssl
import time
from collections.abc import Callable, Sequence
from http.client import HTTPException
from typing import Any, Final, NamedTuple
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import structlog

from streams.avroschema import unknown
from streams.values import BadValueError
from streams.wire import LaterError

log = structlog.get_logger(__name__)

NO_SUCH: Final = frozenset({40401, 40402, 40403})
"""What a registry says where it knows no such subject, version or schema; a bare 404 is no such
word: it may come from anybody."""

LARGEST: Final = 4 << 20  # bytes of an answer
MOST_REFERENCES: Final = 100
MOST_REFUSED: Final = 10_000
PAUSE: Final = 1.0  # seconds between an attempt that failed and the next
TELL: Final = 30.0  # seconds between two lines in the log while it does not answer
BREATH: Final = 0.1  # seconds that a look-up takes at least meanwhile, so that nobody spins
ACCEPT: Final = "application/vnd.schemaregistry.v1+json, application/json"


class Found(NamedTuple):
    """A schema as it was written, and those that it names, each before whoever names it."""

    text: str
    references: Sequence[str]


class Registry:
    """Asks a registry, in turn at each of its addresses, and remembers what it does not know.

    Args:
        urls: base addresses.
        login: user and password, for basic authentication; never logged, never sent on to where a
            registry may redirect.
        context: which certificates to trust.
        timeout: seconds that an answer may take.
        forget: seconds after which an unknown id is asked for again.
        clock, sleep: seconds, never going back; and a wait.
    """

    def __init__(
        self,
        urls: Sequence[str],
        login: tuple[str, str] | None = None,
        context: ssl.SSLContext | None = None,
        timeout: float = 5.0,
        forget: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._urls = [url.strip().rstrip("/") for url in urls]
        self._basic = None if login is None else _basic(*login)
        self._context = context
        self._timeout, self._forget = timeout, forget
        self._clock, self._sleep = clock, sleep
        self._refused: dict[int, tuple[float, BadValueError]] = {}  # id → until when, and why
        self._down: float | None = None  # since when nothing came of asking
        self._failed = (-PAUSE, "")  # when that was last so, and why
        self._told = 0.0  # when the log was told

    def schema(self, number: int) -> Found:
        """Give a schema by its id.

        Raises:
            BadValueError: the registry has no such schema, or it is no Avro.
            LaterError: the registry does not answer, or not as one would.
        """
        until, bad = self._refused.get(number, (-math.inf, None))
        if bad is not None and self._clock() < until:
            raise bad.with_traceback(None)
        try:
            answer = self._ask(f"/schemas/ids/{number}")
            references: dict[tuple[str, int], str] = {}
            self._follow(answer, references)
        except _NoSuchError:
            raise self._refuse(number, f"{self._urls[0]} knows no schema {number}") from None
        except BadValueError as found:
            raise self._refuse(number, f"schema {number}: {found.detail}") from None
        return Found(answer["schema"], list(references.values()))

    def _refuse(self, number: int, why: str) -> BadValueError:
        """Remember for a while that this id is of no use."""
        if len(self._refused) >= MOST_REFUSED:
            self._refused.clear()
        bad = BadValueError("unknown-schema", why)
        self._refused[number] = self._clock() + self._forget, bad
        return bad

    def probe(self) -> None:
        """See whether it answers; raises LaterError if it does not."""
        self._ask("/subjects", holds_schema=False)

    def in_touch(self) -> float:
        """Seconds since when it does not answer; 0 while it does. Safe from any thread."""
        down = self._down
        return 0.0 if down is None else max(0.0, self._clock() - down)

    def _follow(self, answer: dict[str, Any], into: dict[tuple[str, int], str]) -> None:
        """Fetch what a schema names, and what that names, into `into`."""
        for each in answer.get("references") or ():
            place = (str(each.get("subject")), int(each.get("version", -1)))
            if place in into:
                continue
            if len(into) >= MOST_REFERENCES:
                raise unknown(f"it refers to more than {MOST_REFERENCES} others")
            into[place] = ""  # so that a circle ends
            path = f"/subjects/{quote(place[0], safe='')}/versions/{place[1]}?deleted=true"
            inner = self._ask(path)
            self._follow(inner, into)
            del into[place]
            into[place] = inner["schema"]

    def _ask(self, path: str, *, holds_schema: bool = True) -> Any:
        """Ask each address in turn; not again within `PAUSE` of having asked in vain."""
        if self._down is not None and self._clock() - self._failed[0] < PAUSE:
            self._sleep(BREATH)
            raise LaterError(self._failed[1])
        why: list[str] = []
        for url in self._urls:
            try:
                answer = self._fetch(f"{url}{path}")
                if holds_schema:
                    _check(answer)
            except (BadValueError, _NoSuchError):
                self._well()
                raise
            except (OSError, HTTPException, ValueError) as error:
                why.append(f"{url}: {_plainly(error)}")
            else:
                self._well()
                return answer
        said = f"schema registry {'; '.join(why)}; records wait until it answers"
        self._ill(said)
        raise LaterError(said)

    def _ill(self, why: str) -> None:
        now = self._clock()
        self._failed = (now, why)
        self._down = now if self._down is None else self._down
        if now >= self._told + TELL or self._down == now:
            self._told = now
            log.warning("the schema registry does not answer", why=why)

    def _well(self) -> None:
        if self._down is not None:
            log.info("the schema registry answers again", after=round(self.in_touch(), 1))
        self._down = None

    def _fetch(self, url: str) -> Any:
        request = Request(url, headers={"Accept": ACCEPT})  # noqa: S310 - http(s): the settings check
        if self._basic is not None:
            request.add_unredirected_header("Authorization", self._basic)
        try:
            with urlopen(request, timeout=self._timeout, context=self._context) as reply:  # noqa: S310 - as above
                return _parsed(reply.read(LARGEST + 1))
        except HTTPError as error:
            with error:
                said = _said(error.read(LARGEST + 1))
            if error.code == 404 and said in NO_SUCH:  # noqa: PLR2004 - not found
                raise _NoSuchError from None
            raise


class _NoSuchError(Exception):
    """The registry answered that it has no such thing."""


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _parsed(body: bytes) -> Any:
    if len(body) > LARGEST:
        raise ValueError(f"an answer of more than {LARGEST} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("an answer that is no JSON; is that the registry's address?") from None


def _said(body: bytes) -> int | None:
    """Give the registry's own number of an error, if it is a registry's."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    number = found.get("error_code") if isinstance(found, dict) else None
    return number if isinstance(number, int) else None


def _check(answer: Any) -> None:
    """See that an answer holds an Avro schema.

    Raises:
        ValueError: it is no registry's answer.
        BadValueError: it holds a schema of another kind.
    """
    text = answer.get("schema") if isinstance(answer, dict) else None
    if not isinstance(text, str):
        raise ValueError("an answer without a schema; is that the registry's address?")  # noqa: TRY004 - as other wrong answers
    references = answer.get("references") or []
    if not (isinstance(references, list) and all(map(_is_reference, references))):
        raise ValueError("an answer with references of no known form")
    if answer.get("schemaType", "AVRO") != "AVRO":
        raise unknown(f"it is {str(answer['schemaType'])[:40]}, no Avro")


def _is_reference(each: object) -> bool:
    return (
        isinstance(each, dict)
        and isinstance(each.get("subject"), str)
        and isinstance(each.get("version"), int)
    )


def _plainly(error: Exception) -> str:
    if isinstance(error, HTTPError):
        hints = {401: "; check the user and the password", 403: "; this user may not read schemas"}
        return f"{error.code} {_shown(str(error.reason))}{hints.get(error.code, '')}"
    return _shown(str(getattr(error, "reason", "") or error) or type(error).__name__)


def _shown(text: str) -> str:
    """Cut what came from outside to a line for the log."""
    return "".join(one if one.isprintable() else "?" for one in text[:200])
