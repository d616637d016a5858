"""A letter's bytes through a filter command: on its standard input as they came, out as mended."""

import os
import shlex
import subprocess
from collections.abc import Callable

from agent.deadletters import EditError
from streams.letters import Letter


def filtered(command: str, seconds: float = 30.0) -> Callable[[Letter, bytes], bytes]:
    """Make an edit of a command line.

    The command finds the reason, detail and place in `ADAPTD_REASON`, `ADAPTD_DETAIL` and
    `ADAPTD_WHERE`. One that fails, or gives nothing, leaves its letter where it is. A line's end
    behind what it gives is taken off.

    Args:
        command: as typed in a shell, which it does not go through: `sh -c '...'` is for pipes.
        seconds: that it may take for one letter.

    Raises:
        ValueError: it is no command line.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"edit is {command!r}: {error}; close the quotes") from error
    if not words:
        raise ValueError("edit is empty; give a command, as: jq -c '.amount |= tonumber'")

    def edit(letter: Letter, raw: bytes) -> bytes:
        given = _run(words, letter, raw, seconds)
        mended = given.removesuffix(b"\n").removesuffix(b"\r")
        if not mended:
            raise EditError(f"{words[0]} gave nothing")
        return mended

    return edit


def _run(words: list[str], letter: Letter, raw: bytes, seconds: float) -> bytes:
    told = {"REASON": letter.reason, "DETAIL": letter.detail, "WHERE": letter.where}
    clean = {f"ADAPTD_{name}": text.replace("\0", "") for name, text in told.items()}
    try:
        done = subprocess.run(  # noqa: S603 - the person who typed it runs it
            words, input=raw, capture_output=True, timeout=seconds, env={**os.environ, **clean},
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise EditError(f"{words[0]} took more than {seconds:g} s") from error
    except OSError as error:
        raise ValueError(f"edit: cannot run {words[0]!r}: {error.strerror}") from error
    if done.returncode:
        first = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        raise EditError(f"{words[0]} left with {done.returncode}: {first or 'it said nothing'}")
    return done.stdout
