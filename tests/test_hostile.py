"""Records that mean harm are refused, or are no harm: the others are answered as without them."""

import subprocess
import sys
import time
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from agent.continual.default import AgentSettings
from agent.encode import EncoderSettings
from agent.hashing import Bags, Words
from agent.service.classes import MOST, OTHER, ClassesMet
from agent.service.prequential import Prequential
from agent.service.web import WebSettings
from agent.settings import Settings
from streams.assemble import MOST_TRUTH
from streams.codec import REASONS, Codec, decode_refused, encode_prediction, encode_refused
from streams.labels import PendingSettings
from streams.messagepack import MessagePack
from streams.records import (
    ClassPrediction,
    Event,
    Label,
    NumberPrediction,
    Prediction,
    Record,
    Refused,
)
from streams.schema import Schema
from tests.daemon import ROOT
from tests.hostile import FORMATS, SCHEMA, Format, Hostile, codec, hostile, write

ALL = [(form, one) for form in FORMATS for one in hostile(form)]
AGENT = AgentSettings(device="cpu", block=8, slots=64, hidden=8)


@pytest.mark.parametrize(("form", "one"), ALL, ids=lambda part: getattr(part, "name", part))
def test_each_is_refused_with_a_reason_or_read_as_what_it_is(form: Format, one: Hostile) -> None:
    reads = codec(form)
    began = time.process_time()
    event, label = reads.event(one.raw, "here", 5.0), reads.label(one.raw, "here", 5.0)
    assert time.process_time() - began < 1.0
    assert isinstance(event, Refused) == one.refused, event
    for found in (event, label):
        if isinstance(found, Refused):
            assert found.reason in REASONS
            assert 0 < len(found.detail) < 500
            assert found.detail.isprintable()
            assert decode_refused(encode_refused(found)) == found
        else:
            assert isfinite(found.time)
            assert 0 < len(found.id) <= 1024
            msgspec.json.encode(found)


@pytest.mark.parametrize("size", [100_000, 1_000_000])
def test_reading_takes_time_in_proportion_where_long_records_are_allowed(size: int) -> None:
    """A person may raise `max_bytes`: what is hostile then must still not cost its square."""
    long = Codec(Schema({"a": "numeric", "w": "categorical"}, max_bytes=100_000_000))
    for raw in (
        b'{"a":' + b"[" * size,
        b'{"a":1' + b"0" * size + b"}",
        b'{"w":1' + b"0" * size + b"}",
        b'{"w":"' + b'\\"' * size,
        b'{"w":' + b'"[' * size,
        b'{"w":[' + b'"",' * size,
    ):
        began = time.process_time()
        assert isinstance(long.event(raw, "here", 5.0), Refused)
        assert time.process_time() - began < 2.0


def good(form: Format, at: int) -> list[bytes]:
    """An event, with its label or without one."""
    a = float(np.sin(at * 1.7))
    label = {} if at % 3 else {"y": "up" if a > 0 else "down"}
    fields = {"a": a, "b": float(at % 5), "word": "uvw"[at % 3], "text": f"one w{at % 4}"}
    return [write(form, id=f"e{at}", k="k", t=float(at), **fields, **label)]


def streams(form: Format, events: int) -> tuple[list[Record], list[Record]]:
    """Give a stream of good records, and the same with everything refused in between."""
    reads = codec(form)
    bad: list[Record] = [reads.event(one.raw, "bad", 5.0) for one in hostile(form) if one.refused]
    alone: list[Record] = []
    among: list[Record] = []
    for at in range(events):
        fresh: list[Record] = [reads.event(raw, "w", 0.0) for raw in good(form, at)]
        if at > 5 and at % 3 == 1:
            truth = "up" if np.sin((at - 5) * 1.7) > 0 else "down"
            raw = write(form, id=f"e{at - 5}", t=float(at), y=truth)
            fresh.append(reads.label(raw, "w", 0.0))
        alone += fresh
        among += [bad[at % len(bad)], *fresh, bad[at * 7 % len(bad)]]
    assert not any(isinstance(one, Refused) for one in alone)
    return alone, among


def agent(**more: Any) -> Prequential:
    pending = PendingSettings(most=40, ttl=30.0)
    return Prequential.build(Schema(**SCHEMA_FIELDS | more), AGENT, EncoderSettings(), pending)


SCHEMA_FIELDS: dict[str, Any] = {"fields": SCHEMA.fields, "target": "y", "id": "id"}


def fed(learner: Prequential, records: Sequence[Record], cut: int) -> list[Prediction]:
    said: list[Prediction] = []
    for at in range(0, len(records), cut):
        said += learner.feed(records[at : at + cut]).predictions
    return said


def state(learner: Prequential) -> tuple[dict[str, bytes], dict[str, Any]]:
    arrays, rest = learner.snapshot()
    del rest["records"]  # counts what was refused, too
    return {name: torch.as_tensor(leaf).numpy().tobytes() for name, leaf in arrays.items()}, rest


@pytest.mark.parametrize("form", FORMATS)
def test_answers_and_state_are_bit_for_bit_those_without_what_was_refused(form: Format) -> None:
    alone, among = streams(form, 60)
    without, beside = agent(), agent()
    answers = fed(without, alone, 7)
    assert fed(beside, among, 11) == answers
    assert state(beside) == state(without)
    assert beside.records > without.records
    assert len({one.label for one in answers if isinstance(one, ClassPrediction)}) > 1


def sane(said: Prediction) -> bool:
    encode_prediction(said)
    if isinstance(said, NumberPrediction):
        return all(map(isfinite, (said.mean, said.deviation, said.low, said.high)))
    shares = said.probabilities.values()
    return all(0.0 <= share <= 1.0 for share in shares) and abs(sum(shares) - 1.0) < 1e-3


def right(said: Sequence[Prediction]) -> int:
    truths = {f"e{at}": "up" if np.sin(at * 1.7) > 0 else "down" for at in range(10_000)}
    return sum(
        isinstance(one, ClassPrediction) and one.label == truths[one.id]
        for one in said
        if one.id in truths
    )


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_odd_but_legal_leaves_the_learner_able(form: Format) -> None:
    """Every odd record, with and without a label, several times over; then good ones alone."""
    reads = codec(form)
    odd: list[Record] = []
    for turn in range(2):
        for one in hostile(form):
            found = reads.event(one.raw, "w", 5.0)
            if isinstance(found, Event):
                name = f"{found.id}{turn}"[-1000:]
                truth = ("up", None, "__proto__")[len(odd) % 3]
                odd.append(msgspec.structs.replace(found, id=name, label=truth))
                odd.append(Label(name, found.time, "up"))
    alone = streams(form, 120)[0]
    learner = agent()
    fed(learner, alone[:40], 9)
    said = fed(learner, [*odd, *alone[40:]], 9)
    assert all(map(sane, said))
    arrays, _ = learner.snapshot()
    assert [name for name, leaf in arrays.items() if not _sound(name, leaf)] == []
    clean = agent()
    expected = right(fed(clean, alone, 9)[-50:])
    assert right(said[-50:]) >= expected - 10


def _sound(name: str, leaf: Any) -> bool:
    """Say whether all is finite; NaN stands for what is not there in some places."""
    values = torch.as_tensor(leaf)
    if name in {"encoder/waiting", "encoder/early", "block/then"} or name.startswith("pending/"):
        return not bool(torch.isinf(values).any())
    return bool(torch.isfinite(values).all())


def test_numbers_of_any_size_for_a_truth_leave_the_answers_finite() -> None:
    learner = agent(goal="number")
    draw = np.random.default_rng(3)
    records: list[Record] = []
    for at in range(120):
        values = (float(draw.normal()), float(at % 5), "w", ("a",), 3.0)
        wild = {50: MOST_TRUTH, 60: -MOST_TRUTH, 70: 5e-324}.get(at)
        truth = 2.0 * values[0] + 1.0 if wild is None else wild
        records.append(Event(f"e{at}", "k", float(at), values, truth))
    said = fed(learner, records, 8)
    assert all(map(sane, said))
    tail = [one.deviation for one in said[-20:] if isinstance(one, NumberPrediction)]
    assert float(np.median(tail)) < 1e4, "eleven orders less than what was sent"


@pytest.mark.parametrize("truth", [1e16, -1.7e308, 2**70])
def test_a_number_too_large_to_be_learned_is_refused(truth: float) -> None:
    schema = Schema({"a": "numeric"}, goal="number", target="y")
    for form, wire in (("json", None), ("msgpack", MessagePack())):
        raw = write("msgpack" if form == "msgpack" else "json", a=1.0, y=float(truth))
        found = Codec(schema, wire=wire).event(raw, "w", 0.0)
        assert isinstance(found, Refused)
        assert found.reason == "not-finite"
        assert "larger unit" in found.detail


def test_a_run_of_far_futures_ages_the_others_no_more_than_the_bound_allows() -> None:
    """Two in a row do age them: that is why Kafka's records are held to `Schema.ahead`."""
    learner = agent()
    now = [Event(f"e{at}", "k", float(at), (1.0, 1.0, "w", (), 1.0)) for at in range(10)]
    lone = Event("far", "k", 9e10, (1.0, 1.0, "w", (), 1.0))
    past = Event("old", "k", -9e10, (1.0, 1.0, "w", (), 1.0))
    fed(learner, [*now[:5], lone, *now[5:], past], 4)
    assert learner.pending.take(Label("e0", 20.0, "up")) != "expired"


def test_classes_without_end_become_one() -> None:
    met = ClassesMet(2, numbers=False)
    found = [met.number(f"c{at}") for at in range(3 * MOST)]
    assert found[:MOST] == list(range(MOST))
    assert set(found[MOST:]) == {float(MOST)}
    assert met.names[-1] == OTHER
    assert len(met.names) == MOST + 1
    again = ClassesMet(2, numbers=False)
    again.restore(met.names, MOST)
    assert again.number("yet another") == float(MOST)
    assert again.number("c7") == 7.0
    wide = ClassesMet(2, numbers=False)
    wide.meet([f"c{at}" for at in range(2 * MOST)])
    assert wide.number(f"c{2 * MOST - 1}") == 2.0 * MOST - 1


def test_long_words_fill_no_memo_and_change_no_row() -> None:
    words, bags = Words("f", 8, 100), Bags("f", 8, 100)
    first = words.coded(["short"]).copy()
    for at in range(50):
        words.coded([f"{at}" * 2000])
        bags.rows([[f"{at}" * 2000]])
    assert sum(len(str(word)) for word in words) < 20_000
    assert sum(len(str(word)) for word in bags) < 20_000
    assert (words.coded(["short"]) == first).all()


def test_the_page_of_records_tells_every_reason() -> None:
    page = (ROOT / "docs" / "records.md").read_text(encoding="utf-8")
    rows = "".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    assert [reason for reason in sorted(REASONS) if f"`{reason}`" not in rows] == []


def test_the_page_is_served_to_this_machine_alone_unless_said() -> None:
    assert WebSettings().host == "127.0.0.1"
    assert Settings().web.host == "127.0.0.1"


def test_a_checkpoint_is_tensors_and_json_and_nothing_that_runs(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    small = ("agent.device=cpu", "agent.slots=64", f"checkpoint.folder={folder}", "web.port=0")
    words = [word for one in small for word in ("--set", one)]
    command = [sys.executable, "-m", "agent", "run", "--events", "300", *words]
    subprocess.run(command, check=True, capture_output=True, timeout=120, cwd=ROOT)
    files = [path for path in folder.glob("checkpoint-*/**/*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    for path in files:
        raw = path.read_bytes()
        if path.suffix == ".json":
            msgspec.json.decode(raw)
            continue
        begin = 8 + int.from_bytes(raw[:8], "little")  # safetensors: a length, JSON, numbers
        leaves = msgspec.json.decode(raw[8:begin])
        assert max(leaf["data_offsets"][1] for leaf in leaves.values()) == len(raw) - begin
        assert {leaf["dtype"] for leaf in leaves.values()} <= DTYPES


DTYPES = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U32", "U16", "U8", "BOOL"}
