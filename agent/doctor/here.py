"""This machine: its clock, the device, the port, the agent's own weights."""

import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final
from urllib.error import HTTPError
from urllib.request import urlopen

import torch

from agent.doctor.finding import Finding, good
from agent.parts import DeviceError, hatch
from agent.service.clocks import Clocks
from agent.service.web import WebSettings
from agent.settings import Settings
from streams.source import WHOLE

SANE: Final = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
AHEAD: Final = 60.0  # seconds that a record's time may lie ahead of this clock
TICK: Final = 0.02  # seconds over which the clocks are watched


def clock(clocks: Clocks, newest: dict[str, float]) -> Iterator[Finding]:
    """See that time goes forward, and is of these years.

    Args:
        clocks: of this machine.
        newest: times of the latest records met, Unix seconds, by topic.
    """
    monotonic, wall = clocks.now(), clocks.wall()
    clocks.sleep(TICK)
    passed, walked = clocks.now() - monotonic, clocks.wall() - wall
    shown = datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds")
    if passed <= 0:
        yield Finding("clock", "fail", "the monotonic clock stands", "mend this machine's kernel")
    if wall < SANE:
        remedy = "set the time; chrony or systemd-timesyncd keeps it"
        yield Finding("clock", "fail", f"it is {shown} here", remedy)
    elif abs(walked - passed) > 1.0:
        said = f"the wall clock moved {walked:.1f} s while {passed:.1f} s passed"
        yield Finding("clock", "warn", said, "have it slewed, not stepped")
    else:
        yield good("clock", f"{shown}, going forward")
    for topic, stamp in newest.items():
        if stamp > wall + AHEAD:
            said = f"the latest record of {topic!r} is {stamp - wall:,.0f} s ahead of this clock"
            yield Finding("clock", "warn", said, "set the time here, or where records are written")


def device(settings: Settings) -> Iterator[Finding]:
    """See what the learner would run on."""
    threads, cores = settings.service.threads or torch.get_num_threads(), os.cpu_count() or 1
    said = f"torch {torch.__version__}, {threads} of {cores} cores"
    kind = "cuda" if torch.cuda.is_available() and settings.agent.device != "cpu" else "cpu"
    one = torch.ones((64, 64), device=kind)
    if float((one @ one).sum()) != 64.0**3:
        yield Finding("device", "fail", f"{said}; {kind} reckons wrongly", "mend the hardware")
        return
    name = torch.cuda.get_device_name() if kind == "cuda" else "CPU"
    yield good("device", f"{name}, {said}")
    if threads > cores:
        remedy = f"set service.threads to {cores} or fewer"
        yield Finding("device", "warn", f"{threads} threads share {cores} cores", remedy)


def agent(settings: Settings) -> Iterator[Finding]:
    """Build the agent, which reads every weight that it begins with."""
    start = time.monotonic()
    try:
        learner = hatch(settings, Clocks())(WHOLE)
    except (DeviceError, OSError, ValueError) as error:
        remedy = "install adaptd again, or bring the folders of agent.learners back"
        yield Finding("agent", "fail", str(error), remedy)
        return
    taken = time.monotonic() - start
    yield good("agent", f"built in {taken:.1f} s, weights of {len(learner.voices())} experts there")


def port(settings: WebSettings) -> Iterator[Finding]:
    """See whether the port can be listened on."""
    where = f"{settings.host}:{settings.port}"
    if settings.port == 0:
        yield good("port", f"any free one of {settings.host}")
        return
    kind = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            yield _taken(where, error)
            return
    yield good("port", f"{where} is free")


def _taken(where: str, error: OSError) -> Finding:
    if error.errno == errno.EADDRINUSE and _is_ours(where):
        said = f"{where}: an adaptd answers there already"
        return Finding("port", "warn", said, "stop it before another starts on that port")
    remedy = "set web.port to another, or to 0 for any free one"
    return Finding("port", "fail", f"{where}: {error.strerror}", remedy)


def _is_ours(where: str) -> bool:
    with suppress(OSError, ValueError):
        try:
            reply = urlopen(f"http://{where}/healthz", timeout=2)
        except HTTPError as told:
            reply = told
        with reply:
            return "progress_age_seconds" in json.loads(reply.read(4096))
    return False
