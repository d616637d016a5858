"""S3 on loopback: moto's server, and the environment in which a client finds it."""

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

BUCKET = "adaptd-checkpoints"


@contextmanager
def s3() -> Iterator[str]:
    """Run a server with one bucket and give its address; skips where a package is missing."""
    for package in ("moto", "flask", "s3fs", "boto3"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"no S3 on loopback: install {package} (extra dev)")
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - only where it is installed

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def client_of(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Set the environment as a person would, make the bucket afresh, and give boto3's client."""
    import boto3  # noqa: PLC0415 - only where it is installed
    from s3fs import S3FileSystem  # noqa: PLC0415 - as above

    environment = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "of-no-use",
        "AWS_SECRET_ACCESS_KEY": "of-no-use",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    try:
        yield client
    finally:
        S3FileSystem.clear_instance_cache()
        for one in keys(client):
            client.delete_object(Bucket=BUCKET, Key=one)
        client.delete_bucket(Bucket=BUCKET)
        client.close()


def keys(client: Any) -> list[str]:
    """Give the keys that the bucket holds."""
    found = client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return [str(one["Key"]) for one in found]
