"""What a check has found, and how checks are run: each within a bound, whatever it meets."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a report.

    Args:
        check: what was looked at, in a word or two.
        verdict: "ok"; "warn" if the daemon would run, but someone should look; "fail" if not.
        said: what was found.
        remedy: what to do; empty where nothing is.
    """

    check: str
    verdict: Verdict
    said: str
    remedy: str = ""


Check: TypeAlias = Callable[[], Iterable[Finding]]


def good(check: str, said: str) -> Finding:
    """Give a finding that needs nobody."""
    return Finding(check, "ok", said)


def run(checks: Iterable[tuple[str, Check]], seconds: float) -> Iterator[Finding]:
    """Run checks one after the other; one that hangs or breaks is a failure of its own.

    Args:
        checks: by name.
        seconds: that each may take.
    """
    for name, check in checks:
        yield from _bounded(name, check, seconds)


def _bounded(name: str, check: Check, seconds: float) -> list[Finding]:
    found: list[Finding] = []

    def work() -> None:
        try:
            found.extend(check())
        except Exception as error:  # noqa: BLE001 - whatever it is, the next check goes on
            said = f"{type(error).__name__}: {error}"
            found.append(Finding(name, "fail", said, "this check broke; the fault is told here"))

    thread = threading.Thread(target=work, name=f"check {name}", daemon=True)
    thread.start()
    thread.join(seconds)
    if not thread.is_alive():
        return found
    late = f"no answer within {seconds:g} s"
    remedy = "see what hangs: a broker, a disk or a network; --timeout gives it longer"
    return [*found, Finding(name, "fail", late, remedy)]


def counted(count: int, word: str) -> str:
    """Give a count with its word.

    >>> counted(1, "partition"), counted(1200, "shard")
    ('1 partition', '1,200 shards')
    """
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
