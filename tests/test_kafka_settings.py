"""What Kafka's settings allow, refuse, hide, and hand to the client."""

import logging
from pathlib import Path
from typing import Any

import pytest

from streams.codec import Codec
from streams.kafka.access import options
from streams.kafka.settings import KafkaSettings
from streams.kafka.source import KafkaSource
from streams.records import Event
from streams.schema import Schema
from streams.source import SourceError
from tests.broker import Broker, free_port, started
from tests.kafkas import clock, event, settings, take
from tests.single import Single
from tests.tls import certificate, door

SECRET = "correct horse battery"  # noqa: S105 - what must not be seen
SCHEMA = Schema({"x": "numeric"}, id="id", time="t")


def test_tls_and_sasl_settings_reach_the_client_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", SECRET)
    (tmp_path / "pass").write_text("key phrase\n")
    chosen = KafkaSettings(
        bootstrap="a:1, b:2",
        security_protocol="SASL_SSL",
        ssl_cafile="ca.pem",
        ssl_certfile="cert.pem",
        ssl_keyfile="key.pem",
        ssl_password_file=str(tmp_path / "pass"),
        ssl_check_hostname=False,
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username="reader",
        sasl_plain_password_env="BROKER_PASSWORD",  # noqa: S106 - a variable's name
    )
    told = options(chosen)
    assert {name: told[name] for name in told if name.startswith(("s", "boot"))} == {
        "bootstrap_servers": ["a:1", "b:2"],
        "bootstrap_timeout_ms": 10_000,
        "security_protocol": "SASL_SSL",
        "ssl_cafile": "ca.pem",
        "ssl_certfile": "cert.pem",
        "ssl_keyfile": "key.pem",
        "ssl_password": "key phrase",
        "ssl_check_hostname": False,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "reader",
        "sasl_plain_password": SECRET,
    }
    assert SECRET not in repr(chosen)


@pytest.mark.kafka
def test_no_log_and_no_error_shows_the_password_when_the_broker_wants_none(
    broker: Broker,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "password").write_text(SECRET)
    chosen = settings(
        broker,
        "events",
        connect_timeout=1.0,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_plain_username="reader",
        sasl_plain_password_file=str(tmp_path / "password"),
    )
    with caplog.at_level(logging.DEBUG), pytest.raises(SourceError) as raised:
        KafkaSource(chosen, Codec(SCHEMA), clock)
    with caplog.at_level(logging.DEBUG):  # where the client would log the bytes that it sends
        logging.getLogger("kafka.protocol.parser").debug("Send: %r", SECRET)
    shown = caplog.text + str(raised.value) + "".join(capfd.readouterr())
    assert caplog.records
    assert SECRET not in shown
    assert "security_protocol" in str(raised.value)


@pytest.mark.kafka
def test_tls_to_a_broker_that_speaks_plain_text_is_an_error_in_bounded_time(
    broker: Broker,
) -> None:
    began = clock()
    chosen = settings(broker, "events", security_protocol="SSL", connect_timeout=1.0)
    with pytest.raises(SourceError, match=r"looking for topics.*the certificates"):
        KafkaSource(chosen, Codec(SCHEMA), clock)
    assert clock() - began < 5


@pytest.mark.kafka
def test_events_come_through_tls_and_a_stranger_s_certificate_is_refused(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    outer = free_port()
    with started(advertise=outer) as inner:
        behind = int(inner.bootstrap.rpartition(":")[2])
        with door(outer, behind, cert, key):
            plain = KafkaSettings(
                bootstrap=f"127.0.0.1:{outer}",
                security_protocol="SSL",
                events="events",
                membership="all",
                create_topics=True,
                connect_timeout=4.0,
            )
            with pytest.raises(SourceError, match="CERTIFICATE_VERIFY_FAILED"):
                KafkaSource(_with(plain, connect_timeout=1.0), Codec(SCHEMA), clock)
            source = Single(KafkaSource(_with(plain, ssl_cafile=str(cert)), Codec(SCHEMA), clock))
            try:
                assert source.poll(1, 0.1) == []
                assert source.position() == {"events[0]": 0}
            finally:
                source.close()


def _with(chosen: KafkaSettings, **more: Any) -> KafkaSettings:
    fields = {name: getattr(chosen, name) for name in KafkaSettings.__dataclass_fields__}
    return KafkaSettings(**{**fields, **more})


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"start": "middle"}, r"start = 'middle': give one of earliest, latest"),
        ({"out_of_range": "ignore"}, "out_of_range = 'ignore': give one of fail"),
        ({"membership": "some"}, "membership = 'some'"),
        ({"compression": "rar"}, "compression = 'rar'"),
        ({"bootstrap": ""}, "bootstrap = ''"),
        ({"labels": "events"}, "'events' is named for two uses"),
        ({"max_poll_records": 0}, "max_poll_records = 0: give a finite number of 1 or more"),
        ({"flush_timeout": float("inf")}, "flush_timeout = inf"),
        ({"replication": 0}, "replication = 0"),
        ({"security_protocol": "SASL_SSL"}, "sasl_mechanism is not set"),
        ({"sasl_mechanism": "PLAIN"}, "has no effect with security_protocol = PLAINTEXT"),
        ({"consumer": {"enable_auto_commit": True}}, "consumer.enable_auto_commit: adaptd sets"),
        ({"producer": {"acks": 0}}, "producer.acks: adaptd sets this itself"),
        ({"producer": {"sasl_plain_password": "x"}}, "sasl_plain_password_file beside"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_field_and_remedy(
    bad: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        KafkaSettings(**bad)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"sasl_plain_password_env": "NOT_SET_ANYWHERE"}, "no such variable; export it"),
        ({"sasl_plain_password_file": "/no/such/file"}, "No such file or directory"),
    ],
)
def test_a_password_that_is_not_there_is_an_error_that_names_its_place(
    bad: dict[str, str], said: str
) -> None:
    chosen = KafkaSettings(security_protocol="SASL_SSL", sasl_mechanism="PLAIN", **bad)  # type: ignore[arg-type]  # all of them text
    with pytest.raises(ValueError, match=said):
        options(chosen)


@pytest.mark.kafka
def test_an_option_that_the_client_does_not_know_is_named(broker: Broker) -> None:
    topic = broker.topic("events")
    with pytest.raises(SourceError, match=r"nonsense.*tables `consumer` and `producer`"):
        KafkaSource(settings(broker, topic, consumer={"nonsense": 1}), Codec(SCHEMA), clock)


@pytest.mark.kafka
def test_an_option_that_the_client_knows_reaches_it(broker: Broker) -> None:
    topic = broker.topic("events")
    broker.preload(topic, [event(0)])
    source = Single(
        KafkaSource(
            settings(broker, topic, consumer={"fetch_max_wait_ms": 77}), Codec(SCHEMA), clock
        )
    )
    try:
        assert source.source._consumer.config["fetch_max_wait_ms"] == 77
        assert isinstance(take(source, 1)[0], Event)
    finally:
        source.close()
