"""The format of events and labels, as a person sets it, and the codec that it makes."""

import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from streams.avro import ByFile, Framed
from streams.avroschema import Parsed, prepared
from streams.codec import Codec
from streams.messagepack import MessagePack
from streams.registry import Registry
from streams.schema import Schema
from streams.source import SourceError
from streams.values import BadValueError
from streams.wire import Wire

Kind: TypeAlias = Literal["json", "avro", "msgpack"]


@dataclass(frozen=True, slots=True)
class FormatSettings:
    """How events and labels are written; answers are always JSON.

    Args:
        kind: "json", "avro" or "msgpack" (MessagePack); one object, record or map each.
        registry: address of the schema registry that has the writers' Avro schemas, several of the
            same registry divided by commas; records then begin with its header (0, 4 bytes of id).
        schema: file of the Avro schema with which all events were written, where there is no
            registry.
        label_schema: the same of labels that have a topic of their own; without it, as events.
        header: whether records read by a schema file begin with the registry's header.
        user: whom the registry knows; None where it asks nobody.
        password_file: file that holds the user's password.
        password_env: environment variable that holds it instead.
        cafile: PEM file of the authorities that vouch for the registry.
        timeout: seconds that an answer of the registry may take.
        forget: seconds after which the registry is asked again for an id that it did not know.
    """

    kind: Kind = "json"
    registry: str | None = None
    schema: Path | None = None
    label_schema: Path | None = None
    header: bool = True
    user: str | None = None
    password_file: str | None = None
    password_env: str | None = None
    cafile: Path | None = None
    timeout: float = 5.0
    forget: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what could never work; ValueError names the field, the value and the remedy."""
        if self.kind == "avro":
            _check_avro(self)
        else:
            _check_others(self)
        if not 0.1 <= self.timeout <= 60.0:  # noqa: PLR2004 - the bounds that it names
            raise ValueError(f"timeout is {self.timeout}; give 0.1 to 60 seconds")
        if not 1.0 <= self.forget <= 86_400.0:  # noqa: PLR2004 - the bounds that it names
            raise ValueError(f"forget is {self.forget}; give 1 to 86400 seconds")


def _check_avro(settings: FormatSettings) -> None:
    if (settings.registry is None) == (settings.schema is None):
        raise ValueError("registry or schema: give one of them, the address or the file")
    if settings.registry is None:
        return
    if settings.label_schema is not None:
        raise ValueError("label_schema has no effect with a registry; remove it")
    if not settings.header:
        raise ValueError("header is false; a registry needs the id in it: give schema instead")
    for url in settings.registry.split(","):
        _check_url(url.strip())
    if settings.user is None and (settings.password_file or settings.password_env):
        raise ValueError("user is missing, but there is a password; give both")
    if settings.user is not None and bool(settings.password_file) == bool(settings.password_env):
        raise ValueError("password_file or password_env: give one of them for user")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"registry is no address ({error}); give http://host:8081") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("registry holds a user; give user and password_file, which no log shows")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"registry is {url!r}; give http://host:8081 or https://host")
    if any(ord(one) <= ord(" ") or ord(one) > ord("~") for one in url):
        raise ValueError(f"registry is {url!r}; write it without blanks, in ASCII")


def _check_others(settings: FormatSettings) -> None:
    for name in ("registry", "schema", "label_schema", "user", "password_file", "password_env"):
        if getattr(settings, name) is not None:
            raise ValueError(f'{name} has no effect with kind = "{settings.kind}"; remove it')


def open_codec(
    schema: Schema,
    settings: FormatSettings,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Codec:
    """Make the codec of these records.

    Args:
        schema: what a record holds.
        settings: how it is written.
        clock: seconds, never going back.
        sleep: waits so many seconds.

    Raises:
        SourceError: a file or a password is not there, or of no use.
    """
    return Codec(schema, wire=_wire(settings, clock, sleep))


def open_registry(
    settings: FormatSettings,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Registry | None:
    """Give the registry that the settings name, if any; nothing is asked of it yet.

    Raises:
        SourceError: a file or a password is not there, or of no use.
    """
    if settings.registry is None:
        return None
    login = None if settings.user is None else (settings.user, _password(settings))
    urls = settings.registry.split(",")
    return Registry(
        urls, login, _context(settings), settings.timeout, settings.forget, clock, sleep
    )


def _wire(
    settings: FormatSettings, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Wire | None:
    if settings.kind == "json":
        return None
    if settings.kind == "msgpack":
        return MessagePack()
    registry = open_registry(settings, clock, sleep)
    if registry is not None:
        return Framed(registry)
    events = _file("schema", settings.schema)
    labels = events
    if settings.label_schema is not None:
        labels = _file("label_schema", settings.label_schema)
    return ByFile({"events": events, "labels": labels}, header=settings.header)


def _file(name: str, path: Path | None) -> Parsed:
    try:
        return prepared(_read(name, path))
    except BadValueError as bad:
        raise SourceError(f"source.format.{name} = {str(path)!r}: {bad.detail}") from None


def _read(name: str, path: Path | str | None) -> str:
    try:
        return Path(path or "").read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8"
        place = f"source.format.{name} = {str(path)!r}"
        raise SourceError(f"{place}: {why}; give a readable file") from None


def _password(settings: FormatSettings) -> str:
    if settings.password_file is not None:
        found, place = _read("password_file", settings.password_file).strip("\r\n"), "password_file"
    else:
        found, place = os.environ.get(settings.password_env or "", ""), "password_env"
    if not found:
        said = f"source.format.{place} = {getattr(settings, place)!r}"
        raise SourceError(f"{said}: there is no password; put it there")
    return found


def _context(settings: FormatSettings) -> ssl.SSLContext | None:
    if settings.cafile is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(settings.cafile))
    except (OSError, ssl.SSLError) as error:
        place = f"source.format.cafile = {str(settings.cafile)!r}"
        raise SourceError(f"{place}: {error}; give a PEM file of authorities") from None
