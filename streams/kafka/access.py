"""What a client is told of a cluster: where it is, and how to be let in, without telling logs."""

import logging
from typing import Any

from typing_extensions import override

from streams.kafka.settings import KafkaSettings, secrets

_PROBE_MS = 1000
_SECURITY = ("security_protocol", "sasl_mechanism", "sasl_plain_username")
_TLS = ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname")
_TALKATIVE = ("kafka.net.connection", "kafka.protocol.parser")  # log every request when debugging


class Hidden(str):
    """A password: text like any other, but shown as stars (the client logs its settings)."""

    __slots__ = ()

    @override
    def __repr__(self) -> str:
        return "'***'"


def _above_debug(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def options(settings: KafkaSettings) -> dict[str, Any]:
    """Give what every kind of client is told: the cluster and how to be let in.

    Raises:
        ValueError: a password's file or variable does not hold one.
    """
    passwords = {name: Hidden(word) for name, word in secrets(settings).items()}
    if passwords:
        for name in _TALKATIVE:
            logging.getLogger(name).addFilter(_above_debug)
    return {
        "bootstrap_servers": [name.strip() for name in settings.bootstrap.split(",")],
        "client_id": settings.client_id,
        "bootstrap_timeout_ms": round(settings.connect_timeout * 1000),
        "request_timeout_ms": 10_000,
        "reconnect_backoff_max_ms": 1000,
        "metadata_max_age_ms": _PROBE_MS,
        **{name: getattr(settings, name) for name in (*_SECURITY, *_TLS)},
        **passwords,
    }
