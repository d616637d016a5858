"""The live table on a terminal, and the logs beside it."""

import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from rich.console import Console
from typing_extensions import override

from agent.service.live import span
from agent.service.logs import configure, logger
from agent.service.report import Step
from agent.service.tally import Tally
from agent.service.terminal import LiveTable
from tests.steps import synthetic_run


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def shown(console: Console, steps: list[Step], interval: float = 0.5) -> tuple[Tally, int]:
    """Run the table over these steps; give the tally and how often the title was drawn."""
    tally = Tally("classes")
    with LiveTable(tally, "a test", "http://127.0.0.1:1/", console, interval) as watch:
        for step in steps:
            tally(step)
            watch(step)
    out = console.file.getvalue() if isinstance(console.file, io.StringIO) else ""
    return tally, plain(out).count("a test")


def test_the_table_shows_the_tallys_figures() -> None:
    console = Console(file=Terminal(), force_terminal=True, width=100)
    tally, _ = shown(console, list(synthetic_run(steps=200)))
    figures = tally.figures()
    assert figures is not None
    assert isinstance(console.file, Terminal)
    last = plain(console.file.getvalue()).rsplit("a test", 1)[1]
    assert f"{figures.events:,}" in last
    assert f"{figures.window.loss:.4g}" in last
    assert f"{figures.run.kappa:.4g}" in last
    assert f"{100 * figures.voices['attention']:.0f} %" in last
    assert "http://127.0.0.1:1/" in last
    assert all(len(line) <= 100 for line in last.splitlines()[1:])


def test_it_draws_twice_a_second_at_most() -> None:
    console = Console(file=Terminal(), force_terminal=True, width=100)
    _, drawn = shown(console, list(synthetic_run(steps=101, tick=0.125)))
    assert 20 <= drawn <= 26 + 2  # in 12.5 seconds; and the end's own drawing


def test_where_there_is_no_terminal_it_writes_nothing() -> None:
    file = io.StringIO()
    shown(Console(file=file), list(synthetic_run(steps=50)))
    assert file.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.02, "20 ms"), (1.5, "1.5 s"), (90, "1.5 min"), (5_400, "1.5 h"), (129_600, "1.5 d")],
)
def test_a_time_span_is_said_in_its_own_unit(seconds: float, said: str) -> None:
    assert span(seconds) == said


def lines(say: Callable[[Any], object], level: str = "info") -> list[dict[str, Any]]:
    file = io.StringIO()
    say(logger(lambda: 0.0, level, file))
    return [json.loads(line) for line in file.getvalue().splitlines()]


def test_off_a_terminal_a_log_line_is_json_with_time_level_and_fields() -> None:
    (line,) = lines(lambda log: log.bind(part="events[0]").info("checkpoint", bytes=12))
    assert line == {
        "timestamp": "1970-01-01T00:00:00.000+00:00",
        "event": "checkpoint",
        "level": "info",
        "part": "events[0]",
        "bytes": 12,
    }


def test_on_a_terminal_a_log_line_is_words() -> None:
    file = Terminal()
    logger(lambda: 0.0, "info", file).warning("broker lost", seconds=3)
    words = plain(file.getvalue())
    assert "broker lost" in words
    assert "seconds=3" in words
    assert "00:00:00" in words


@pytest.mark.parametrize(
    "fields",
    [
        {"sasl_plain_password": "hunter2"},
        {"ssl_password": "hunter2"},
        {"settings": {"kafka": {"options": {"api_key": "hunter2"}}}},
        {"settings": [{"Secret": "hunter2"}]},
        {"url": "https://me:hunter2@host/path"},
        {"urls": ("kafka://me:hunter2@host:9092",)},
    ],
    ids=str,
)
def test_no_secret_is_logged(fields: dict[str, Any]) -> None:
    file = io.StringIO()
    logger(lambda: 0.0, "info", file).error("connecting", **fields)
    assert "connecting" in file.getvalue()
    assert "hunter2" not in file.getvalue()


def test_what_is_no_secret_is_left_alone() -> None:
    (line,) = lines(lambda log: log.info("x", key="card 7", tokens=3, url="http://host:1/"))
    assert (line["key"], line["tokens"], line["url"]) == ("card 7", 3, "http://host:1/")


def test_an_exceptions_trace_is_there_without_its_variables() -> None:
    def fail(log: Any) -> None:
        password = "hunter2"  # noqa: S105 - must not be shown
        try:
            [][len(password)]
        except IndexError:
            log.exception("lost")

    (line,) = lines(fail)
    assert "IndexError: list index" in line["exception"]
    file = Terminal()
    fail(logger(lambda: 0.0, "info", file))
    assert "IndexError: list index" in plain(file.getvalue())
    assert "hunter2" not in line["exception"] + plain(file.getvalue())


def test_lines_below_the_level_are_not_written() -> None:
    assert lines(lambda log: log.info("x"), "warning") == []


def test_a_level_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^level is 'loud'"):
        logger(lambda: 0.0, "loud")


def test_configuring_reaches_every_logger_of_the_process() -> None:
    file, early = io.StringIO(), structlog.get_logger("early")
    try:
        configure(lambda: 0.0, "warning", file)
        early.warning("lost", api_key="hunter2")
        structlog.get_logger("late").info("not shown")
    finally:
        structlog.reset_defaults()
    (line,) = [json.loads(line) for line in file.getvalue().splitlines()]
    assert (line["event"], line["api_key"]) == ("lost", "***")


def test_two_loggers_do_not_share_their_settings() -> None:
    assert lines(lambda log: log.debug("x"), "debug") != []
    assert lines(lambda log: log.debug("x"), "error") == []
