"""Logs: words for a person on a terminal, JSON lines for a machine; no secret in either.

`logger` gives an object and configures nothing global; `configure` is for the command line, once.
"""

import logging
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

SECRET = re.compile(
    r"passw|secret|token(?!s)|credential|private|api_?key|sasl_plain|authorization", re.IGNORECASE
)
IN_URL = re.compile(r"(\w+://)[^/\s:@]*:[^/\s@]+@")
HIDDEN = "***"


def logger(
    clock: Callable[[], float],
    level: str = "info",
    stream: TextIO | None = None,
) -> FilteringBoundLogger:
    """Give a logger.

    Args:
        clock: Unix seconds, for each line's time.
        level: the least level shown: debug, info, warning, error.
        stream: where lines go; None is whatever standard error is at the time of the line, so that
            a live table on the same terminal stays whole.
    """
    made: FilteringBoundLogger = structlog.wrap_logger(
        _Lines(stream),
        processors=_processors(clock, stream or sys.stderr),
        wrapper_class=_filtering(level),
        context_class=dict,
    ).bind()
    return made


def configure(
    clock: Callable[[], float], level: str = "info", stream: TextIO | None = None
) -> None:
    """Let every `structlog.get_logger()` of this process write so; for the command line alone."""
    structlog.configure(
        processors=_processors(clock, stream or sys.stderr),
        wrapper_class=_filtering(level),
        context_class=dict,
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=False,
    )


def _filtering(level: str) -> type[FilteringBoundLogger]:
    levels = logging.getLevelNamesMapping()
    if level.upper() not in levels:
        raise ValueError(f"level is {level!r}: give one of debug, info, warning, error")
    return structlog.make_filtering_bound_logger(levels[level.upper()])


def _processors(clock: Callable[[], float], stream: TextIO) -> list[Processor]:
    terminal = stream.isatty()
    return [
        structlog.processors.add_log_level,
        _stamp(clock, "%H:%M:%S" if terminal else None),
        redact,
        *(_for_a_person() if terminal else _for_a_machine()),
    ]


def redact(_: object, __: str, event: EventDict) -> EventDict:
    """Hide values of whatever is named like a secret, and passwords in URLs."""
    return {name: _shown(name, value) for name, value in event.items()}


def _shown(name: str, value: Any) -> Any:
    if SECRET.search(name) and value not in (None, ""):
        return HIDDEN
    if isinstance(value, Mapping):
        return {key: _shown(str(key), inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown("", inner) for inner in value]
    return IN_URL.sub(rf"\1{HIDDEN}@", value) if isinstance(value, str) else value


def _stamp(clock: Callable[[], float], form: str | None) -> Processor:
    def stamp(_: object, __: str, event: EventDict) -> EventDict:
        now = datetime.fromtimestamp(clock(), UTC)
        shown = now.isoformat(timespec="milliseconds") if form is None else now.strftime(form)
        return {"timestamp": shown, **event}

    return stamp


def _for_a_person() -> list[Processor]:
    plain = structlog.dev.plain_traceback  # the rich one would show local variables
    return [structlog.dev.ConsoleRenderer(colors=True, exception_formatter=plain)]


def _for_a_machine() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        redact,
        structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
    ]


class _Lines:
    """Writes a line at once; the stream is looked up each time when none was given."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def msg(self, message: str) -> None:
        with suppress(OSError, ValueError):  # a full disk or a closed pipe stops no daemon
            print(message, file=self._stream or sys.stderr, flush=True)

    log = debug = info = warn = warning = error = critical = exception = fatal = msg
