"""Image, compose file, systemd unit and examples: linted, and at one with the code."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent.cli import app
from agent.daemon import POISONED, WRONG
from agent.service.web import Reply, Web, WebSettings
from agent.settings import Settings, load
from tests.deployment import (
    DEPLOY,
    HOME,
    PORT,
    ROOT,
    USER,
    dockerfile,
    image_environment,
    parsed,
    paths,
    ran,
    read,
    tool,
)

CARDS = DEPLOY / "examples" / "cards.toml"
EXAMPLES = [*sorted(DEPLOY.glob("examples/*.toml")), *sorted(DEPLOY.glob("kubernetes/**/*.toml"))]
DROP_INS = sorted((DEPLOY / "systemd" / "drop-ins").glob("*.conf"))
UNIT = DEPLOY / "systemd" / "adaptd.service"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_settings_file_is_good(path: Path) -> None:
    result = CliRunner().invoke(app, ["validate", str(path)])
    assert result.exit_code == 0, result.output


def test_the_port_is_on_loopback_unless_a_setting_opens_it() -> None:
    assert WebSettings().host == "127.0.0.1"
    assert load(CARDS, {}).web.host == "127.0.0.1"
    assert load(CARDS, image_environment()).web.host == "0.0.0.0"  # noqa: S104 - said on purpose


def test_the_image_passes_the_linter() -> None:
    ran(tool("hadolint"), "--config", ROOT / ".hadolint.yaml", DEPLOY / "Dockerfile")


def test_the_image_says_what_the_code_says() -> None:
    said = dockerfile()
    assert said["EXPOSE"] == str(PORT)
    assert said["USER"] == f"{USER}:{USER}"
    assert json.loads(said["VOLUME"]) == [HOME]
    assert said["WORKDIR"] == HOME
    assert said["STOPSIGNAL"] == "SIGTERM"
    assert f"--uid {USER} --gid {USER}" in " ".join(said["RUN"].split())
    assert parsed(json.loads(said["CMD"]))["settings"] is None
    folder = Settings().checkpoint.folder
    assert Path(HOME, str(folder)) == Path(HOME, "checkpoints")  # below the volume


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE)
        for word in line.split()
    ]
    assert "constraints.txt" in copied
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in kept
    built = re.search(r"packages = (\[.*\])", (ROOT / "pyproject.toml").read_text())
    assert built is not None
    assert set(json.loads(built[1])) <= set(copied)


@pytest.mark.parametrize(("code", "healthy"), [(HTTPStatus.OK, True), (503, False), (None, False)])
def test_the_health_check_of_the_image_tells_a_healthy_daemon(
    code: int | None, *, healthy: bool
) -> None:
    asked = re.search(r"CMD (\[.*\])", dockerfile()["HEALTHCHECK"])
    assert asked is not None
    words: list[str] = json.loads(asked[1])
    assert "'/healthz'" in words[-1]
    answers = {"/healthz": lambda: Reply(b"{}", code=code or 200)}
    with Web(WebSettings(port=0), answers) as web:
        port = str(web.port)
        if code is None:
            web.close()
        env = {"ADAPTD__WEB__PORT": port, "http_proxy": "http://127.0.0.1:1"}
        done = subprocess.run(
            [sys.executable, *words[1:]], check=False, env=env, capture_output=True
        )
    assert (done.returncode == 0) is healthy
    assert str(PORT) in words[-1]


CONFINED = """
set -e
mount --bind "$1" /mnt
findmnt --raw --noheadings --output TARGET | grep -vE '^/(mnt|proc|sys|dev)(/|$)' |
  while read -r place; do mount -o remount,bind,ro "$place"; done
mount -t tmpfs tmpfs /tmp
if touch /usr/local/here 2>/dev/null; then echo "the root can be written to"; exit 9; fi
cd /mnt
shift
exec setpriv --bounding-set -all --inh-caps -all --no-new-privs "$@"
"""


def test_it_runs_on_a_read_only_root_without_capabilities(tmp_path: Path) -> None:
    """As compose and Kubernetes run the image; only its folder and /tmp can be written to."""
    if os.geteuid() != 0:
        pytest.skip("a mount namespace of its own needs root")
    run = [sys.executable, "-m", "agent", "run", "--once", "--events", "1500", "--port", "0"]
    ours = any(Path(one).is_relative_to("/tmp") for one in (ROOT, sys.executable))  # noqa: S108 - kept in sight
    confined = CONFINED.replace("mount -t tmpfs tmpfs /tmp\n", "") if ours else CONFINED
    quick = ["--set", "agent.slots=64", "--set", "agent.hidden=8", "--set", "agent.device=cpu"]
    done = subprocess.run(
        [tool("unshare"), "--mount", "sh", "-c", confined, "sh", str(tmp_path), *run, *quick],
        check=False,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            **image_environment(),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            **({"TMPDIR": "/mnt"} if ours else {}),
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]
    assert list((tmp_path / "checkpoints").glob("checkpoint-*/manifest.json"))


def services() -> dict[str, dict[str, Any]]:
    return dict(read("compose.yaml")["services"])


def typed(service: dict[str, Any]) -> Mapping[str, Any]:
    """Give its command's arguments, with the variables' defaults."""
    return parsed([re.sub(r"\$\{\w+:-(\w+)\}", r"\1", word) for word in service["command"]])


def test_the_compose_file_fits_its_schema() -> None:
    check = tool("check-jsonschema")
    ran(check, "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


def test_services_are_pinned_confined_and_on_loopback_only() -> None:
    for name, service in services().items():
        image = service["image"]
        tag = image.rpartition(":")[2]
        assert image == "adaptd:local" or re.fullmatch(r"v?\d+\.\d+\.\d+", tag), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert service.get("read_only", name in {"kafka", "topics"}), name  # they set themselves up


def test_what_services_mount_and_need_is_there() -> None:
    found = services()
    for name, service in found.items():
        for volume in service.get("volumes", ()):
            source, target = volume.split(":")[:2]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), volume
            else:
                assert source in read("compose.yaml")["volumes"], volume
            assert target.startswith("/")
        assert set(service.get("depends_on", ())) <= set(found), name
    assert (DEPLOY / found["adaptd"]["build"]["dockerfile"]).parent.name == "deploy"


def test_the_daemon_and_the_load_of_the_compose_file_fit_one_another() -> None:
    found = services()
    for name in ("adaptd", "produce"):
        service = found[name]
        mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in service["volumes"]}
        file = DEPLOY / mounted[str(typed(service)["settings"])]
        assert file == CARDS
        settings = load(file, image_environment() | service["environment"])
        assert settings.source.kafka is not None
        assert settings.source.kafka.bootstrap == "kafka:9092"
    assert typed(found["produce"])["live"]
    assert str(load(CARDS, found["adaptd"]["environment"]).checkpoint.folder).startswith(HOME)
    assert found["adaptd"]["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert f"state:{HOME}" in found["adaptd"]["volumes"]


def test_the_topics_of_the_compose_file_are_those_of_its_settings() -> None:
    kafka = load(CARDS, {}).source.kafka
    assert kafka is not None
    made = dict(re.findall(r"make (\S+) (\d+)", services()["topics"]["command"][0]))
    alike = {kafka.events, kafka.labels, kafka.journal, kafka.predictions}
    assert {name for name, count in made.items() if count == str(kafka.partitions)} == alike
    assert set(made) == alike | {kafka.refused}
    outside = services()["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert f"OUTSIDE://{kafka.bootstrap}" in outside


def test_prometheus_and_grafana_find_what_they_look_for() -> None:
    (target,) = read("compose/targets.yml")[0]["targets"]
    assert target == f"adaptd:{PORT}"
    (scrape,) = read("prometheus/prometheus.yml")["scrape_configs"]
    assert scrape.get("metrics_path", "/metrics") in paths()
    mounts = dict(volume.split(":")[:2] for volume in services()["prometheus"]["volumes"])
    assert "targets.yml" in scrape["file_sd_configs"][0]["files"]
    assert mounts["./compose/targets.yml"] == "/etc/prometheus/targets.yml"
    grafana, prometheus = services()["grafana"], services()["prometheus"]
    (source,) = read("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert source["url"] == f"http://prometheus:{prometheus['ports'][0].rpartition(':')[2]}"
    mounts = dict(volume.split(":")[:2] for volume in grafana["volumes"])
    (provider,) = read("grafana/provisioning/dashboards/adaptd.yml")["providers"]
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    first = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(first.parent) == provider["options"]["path"]
    assert (DEPLOY / "grafana" / "dashboards" / first.name).exists()


def setting(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("drop_in", [None, *DROP_INS], ids=lambda one: one.stem if one else "alone")
def test_the_unit_passes_verification_and_is_hardened(drop_in: Path | None, tmp_path: Path) -> None:
    analyze = tool("systemd-analyze")
    here = f"{sys.executable} "  # verify looks whether the program is there
    unit = tmp_path / "adaptd.service"
    unit.write_text(UNIT.read_text().replace("=/opt/adaptd/bin/adaptd ", f"={here}"))
    if drop_in is not None:
        (tmp_path / "adaptd.service.d").mkdir()
        (tmp_path / "adaptd.service.d" / drop_in.name).write_text(drop_in.read_text())
    assert ran(analyze, "verify", "--man=no", unit) == ""
    loosest = 13 if drop_in is not None and drop_in.stem == "cuda" else 11  # tenths
    ran(analyze, "security", "--offline=true", f"--threshold={loosest}", "--no-pager", unit)


def test_the_unit_says_what_the_code_says() -> None:
    (start,) = setting("ExecStart")
    program, *words = shlex.split(start)
    assert program.endswith("/bin/adaptd")
    assert parsed(words)["settings"] == Path("/etc/adaptd/settings.toml")
    assert setting("RestartPreventExitStatus") == [f"{WRONG} {POISONED}"]
    assert setting("WorkingDirectory") == [HOME]
    assert f"/var/lib/{setting('StateDirectory')[0]}" == HOME
    environment = [word for line in setting("Environment") for word in line.split()]
    for drop_in in DROP_INS:
        lines = drop_in.read_text(encoding="utf-8").splitlines()
        environment += [line.split("=", 1)[1] for line in lines if line.startswith("Environment=")]
    settings = load(CARDS, dict(pair.split("=", 1) for pair in environment))
    assert str(settings.checkpoint.folder).startswith(HOME)
    assert settings.source.kafka is not None
    assert settings.source.kafka.sasl_plain_password_file == "%d/kafka-password"  # noqa: S105 - a path
