"""Whatever bytes come, a codec gives a record or a refusal; whatever settings, a value or faults.

`tests/fuzz` does the same guided by coverage, where atheris is installed.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import fields, is_dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.settings import Settings
from agent.toml import Text
from tests.daemon import ROOT
from tests.fuzz.checks import check
from tests.fuzz.settled import check_settings
from tests.hostile import FORMATS, Format, hostile, write

FUZZED = 100  # examples of each; FUZZ says more
MANY = settings(max_examples=int(os.environ.get("FUZZ", FUZZED)))

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["2020-01-01", "", 10**18, 1e308, "1e999", "\x00", "\ufeff", 5e-324])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=10,
)
FIELDS = ("id", "k", "t", "y", "a", "b", "word", "text", "seen", "other", "__proto__")


def packed(form: Format, sent: dict[str, Any]) -> bytes:
    """Write what that format can hold; Avro takes plain values and short lists alone."""
    if form == "avro":
        plain = (str, float, bytes, type(None))
        sent = {name: one for name, one in sent.items() if isinstance(one, plain)}
        sent = {name: one for name, one in sent.items() if name in FIELDS[:9]}
    try:
        return write(form, **sent)
    except (UnicodeEncodeError, OverflowError):
        return b""


def in_time(form: Format, raw: bytes) -> None:
    began = time.process_time()
    check(form, raw)
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize("form", FORMATS)
@MANY
@given(st.data())
def test_whatever_bytes_come_end_as_a_sound_record_or_a_refusal(
    form: Format, data: st.DataObject
) -> None:
    """Bytes at random, records of random values, and these two spliced, cut and flipped."""
    sent = data.draw(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=9))
    raw = data.draw(st.binary(max_size=200) | st.just(packed(form, sent)))
    junk = data.draw(st.binary(max_size=30))
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, len(raw)))
    for one in (raw, raw[:start] + junk + raw[end:], raw[start:end], raw[:start] + raw[start:] * 2):
        in_time(form, one)


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=MANY.max_examples // 3)
@given(st.data())
def test_what_means_harm_does_none_when_it_is_changed_a_little(
    form: Format, data: st.DataObject
) -> None:
    one = data.draw(st.sampled_from([one for one in hostile(form) if len(one.raw) < 70_000]))
    raw = bytearray(one.raw or b"\0")
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, min(len(raw), 400) - 1))] = data.draw(st.integers(0, 255))
    in_time(form, bytes(raw))


def paths(kind: Any = Settings, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Give every setting there is, by its path."""
    found: list[tuple[str, ...]] = []
    hints = get_type_hints(kind)
    for one in fields(kind):
        here = (*above, one.name)
        found.append(here)
        for part in (hints[one.name], *get_args(hints[one.name])):
            if is_dataclass(part):
                found += paths(part, here)
    return found


PATHS = paths()
WORDS = st.sampled_from(
    [
        *("", "file", "kafka", "avro", "msgpack", "json", "cuda", "all", "group", "numeric"),
        *("classes", "http://r:1", "http://[", "http://u:p@r", "http://r:99999999", "a,b", "[1]"),
        *("forest.ARFClassifier", "os.system", "..", "gemcl", "/", "\0", "s3://b/c", "0", "-1"),
        *("{}", "nan", "1e9"),
    ]
)
SMALL = st.sampled_from([-1, 0, 1, 2, 3, 10, 1000, 2**31, -0.5, 0.0, 0.5, 1.0, 1e300])
PLAIN = WORDS | SMALL
SAID: st.SearchStrategy[Any] = st.one_of(
    PLAIN,
    st.booleans(),
    st.floats(),
    st.text(max_size=6),
    st.integers(-(2**63), 2**63 - 1),
    st.lists(PLAIN, max_size=3),
    st.dictionaries(st.sampled_from(["a", "kind", "path"]) | st.text(max_size=3), PLAIN),
)
SET = st.dictionaries(st.sampled_from(PATHS), SAID, max_size=6)
GROUND: list[dict[tuple[str, ...], Any]] = [
    {},
    {("stream",): {"fields": {"a": "numeric", "b": "time"}, "target": "y"}},
    {
        ("stream",): {"fields": {"a": "tokens"}},
        ("source",): {"kind": "kafka", "kafka": {"labels": "l"}},
    },
    {
        ("stream",): {"fields": {"a": "numeric"}},
        ("source",): {"kind": "file", "file": {"path": "x"}},
    },
]


def toml(value: Any) -> str:
    """Write a value as TOML, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(name)} = {toml(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value)


def tree(given: dict[tuple[str, ...], Any]) -> dict[str, Any]:
    """Lay values by path into one table."""
    whole: dict[str, Any] = {}
    for path, value in sorted(given.items()):
        here = whole
        for name in path[:-1]:
            inner = here.get(name)
            here[name] = here = dict(inner) if isinstance(inner, dict) else {}
        here[path[-1]] = value
    return whole


def judged(raw: bytes, environment: dict[str, str], flags: dict[str, Text]) -> None:
    """Load settings: they are whole, or every fault has a place and a remedy."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "settings.toml"
        path.write_bytes(raw)
        check_settings(path, environment, flags)


@MANY
@given(st.sampled_from(GROUND), SET, SET, SET)
def test_whatever_is_set_gives_settings_or_says_all_that_is_wrong(
    ground: dict[tuple[str, ...], Any],
    table: dict[tuple[str, ...], Any],
    variables: dict[tuple[str, ...], Any],
    flags: dict[tuple[str, ...], Any],
) -> None:
    whole = tree(ground | table)
    raw = "".join(f"{toml(name)} = {toml(value)}\n" for name, value in whole.items())
    environment = {
        "__".join(["ADAPTD", *path]).upper(): value if isinstance(value, str) else toml(value)
        for path, value in variables.items()
    }
    said = {".".join(path): Text(str(value), "--set") for path, value in flags.items()}
    judged(raw.encode("utf-8", "surrogatepass"), environment, said)


@MANY
@given(
    st.binary(max_size=200) | st.text(st.characters(codec="utf-8"), max_size=200).map(str.encode),
    st.dictionaries(st.text(max_size=12).map("ADAPTD__{}".format), st.text(max_size=12)),
)
@example(b"a." * 5000 + b"a = 1", {})
@example(b"a = " + b"[" * 100_000, {})
@example(b"a = " + b"{a=" * 5000, {})
@example(b"a = 1" + b"0" * 5000, {})
@example(b"[web]\nport = 0x" + b"f" * 5000, {})
@example(b"[web]\ntimeout = 1e99999", {})
@example(b'"" = 1', {})
@example(b"", {"ADAPTD__.": ""})
@example(b"", {"ADAPTD__WEB__PORT": "9" * 5000})
@example(b"", {"ADAPTD__STREAM__FIELDS": "[" * 100_000})
@example(b"", {"ADAPTD__" + "A__" * 5000 + "A": "1"})
def test_whatever_bytes_are_settings_they_are_told_apart(
    raw: bytes, environment: dict[str, str]
) -> None:
    judged(raw, environment, {})


@pytest.mark.parametrize("target", [*FORMATS, pytest.param("settings", marks=pytest.mark.slow)])
def test_guided_by_coverage_nothing_is_found_in_a_few_seconds(target: str, tmp_path: Path) -> None:
    """FUZZ_SECONDS says for how long; each target is a process of its own.

    Settings are slow, since they load PyTorch; but no example by hand finds where parsers nest.
    """
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("no atheris: pip install -e '.[fuzz]'")
    seconds = os.environ.get("FUZZ_SECONDS", "2")
    command = [sys.executable, "-m", "tests.fuzz", target, seconds, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=False, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs is not None, done.stderr[-3000:]
    assert int(runs[1]) > 100
