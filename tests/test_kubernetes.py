"""The Kubernetes manifests: built by kustomize, validated, whole, and at one with the code."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.prometheus_operator import v1 as operator
from pydantic import BaseModel

from agent.service.pump import HANDOVER, PATIENCE
from agent.settings import Settings, load
from deploy.kubernetes.make_rules import TARGET, page
from tests.deployment import DEPLOY, HOME, PORT, USER, dockerfile, paths, ran, read, tool

BUILDS = ("base", "overlays/example")
HERE = DEPLOY / "kubernetes"
SECRETS = {"adaptd-kafka": {"username", "password", "ca.crt"}}  # made by hand: deploy/README.md
MODELS: dict[str, type[BaseModel]] = {
    "ScaledObject": keda.ScaledObject,
    "TriggerAuthentication": keda.TriggerAuthentication,
    "ServiceMonitor": operator.ServiceMonitor,
    "PrometheusRule": operator.PrometheusRule,
}


@cache
def built(name: str) -> str:
    return ran(tool("kubectl"), "kustomize", HERE / name)


def resources(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(built(name)))


def one(name: str, kind: str) -> dict[str, Any]:
    (found,) = (each for each in resources(name) if each["kind"] == kind)
    return found


def pod(name: str) -> dict[str, Any]:
    return dict(one(name, "StatefulSet")["spec"]["template"]["spec"])


def container(name: str) -> dict[str, Any]:
    (found,) = pod(name)["containers"]
    return dict(found)


def settings(name: str, tmp_path: Path) -> Settings:
    """Give the settings as the pod would have them."""
    path = tmp_path / "settings.toml"
    config = {
        each["metadata"]["name"]: each["data"]
        for each in resources(name)
        if each["kind"] == "ConfigMap"
    }
    path.write_text(next(data["settings.toml"] for data in config.values() if len(data) == 1))
    env = {var["name"]: var.get("value", "adaptd-0") for var in container(name)["env"]}
    for source in container(name).get("envFrom", ()):
        env |= config[source["configMapRef"]["name"]]
    return load(path, env)


@pytest.mark.parametrize("name", BUILDS)
def test_it_is_what_kubernetes_takes(name: str, tmp_path: Path) -> None:
    path = tmp_path / "built.yaml"
    path.write_text(built(name))
    said = ran(tool("kubernetes-validate"), "--strict", path)
    kinds = [each["kind"] for each in resources(name)]
    assert said.count("passed for resource") == len([kind for kind in kinds if kind not in MODELS])


@pytest.mark.parametrize("kind", MODELS)
def test_operators_know_every_field_of_their_resources(kind: str) -> None:
    given = one("overlays/example", kind)
    known = (
        MODELS[kind]
        .model_validate(given)
        .model_dump(mode="json", by_alias=True, exclude_unset=True)
    )
    assert list(lost(given, known)) == []


def lost(given: Any, known: Any, path: str = "") -> Iterator[str]:
    """Say what a model dropped, because it knows no such field, or changed."""
    if isinstance(given, dict) and isinstance(known, dict):
        for name in given:
            yield from lost(given[name], known.get(name), f"{path}.{name}")
    elif isinstance(given, list) and isinstance(known, list) and len(given) == len(known):
        for at, (each, other) in enumerate(zip(given, known, strict=True)):
            yield from lost(each, other, f"{path}[{at}]")
    elif given != known:
        yield f"{path}: {given!r} became {known!r}"


def test_a_field_that_an_operator_does_not_know_would_be_found() -> None:
    given = one("overlays/example", "ScaledObject")
    given["spec"]["maxReplicas"] = 3
    known = keda.ScaledObject.model_validate(given).model_dump(by_alias=True, exclude_unset=True)
    assert list(lost(given, known)) == [".spec.maxReplicas: 3 became None"]


@pytest.mark.parametrize("name", BUILDS)
def test_all_that_the_pod_names_is_there(name: str) -> None:
    found = {(each["kind"], each["metadata"]["name"]) for each in resources(name)}
    assert ("ServiceAccount", pod(name)["serviceAccountName"]) in found
    volumes = {volume["name"]: volume for volume in pod(name)["volumes"]}
    assert {mount["name"] for mount in container(name)["volumeMounts"]} == set(volumes)
    for volume in volumes.values():
        if "configMap" in volume:
            assert ("ConfigMap", volume["configMap"]["name"]) in found
        if "persistentVolumeClaim" in volume:
            claim = volume["persistentVolumeClaim"]["claimName"]
            assert ("PersistentVolumeClaim", claim) in found
        if "secret" in volume:
            assert volume["secret"]["secretName"] in SECRETS
    for source in container(name).get("envFrom", ()):
        assert ("ConfigMap", source["configMapRef"]["name"]) in found
    assert (("PersistentVolumeClaim", "adaptd-checkpoints") in found) is (name == "base")


def test_secrets_made_by_hand_are_told_of() -> None:
    told = (DEPLOY / "README.md").read_text(encoding="utf-8")
    for name, keys in SECRETS.items():
        assert f"create secret generic {name}" in told
        assert all(f"={key}" in told or f"{key}=" in told for key in keys)


@pytest.mark.parametrize("name", BUILDS)
def test_selectors_find_the_pods_and_nothing_else(name: str) -> None:
    stateful = one(name, "StatefulSet")["spec"]
    labels = stateful["template"]["metadata"]["labels"]
    assert stateful["selector"]["matchLabels"].items() <= labels.items()
    for kind, field in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        chosen = one(name, kind)["spec"][field]["matchLabels"]
        assert chosen
        assert chosen.items() <= labels.items()
    service = one(name, "Service")
    assert service["spec"]["selector"].items() <= labels.items()
    assert stateful["serviceName"] == service["metadata"]["name"]
    for spread in pod(name)["topologySpreadConstraints"]:
        assert spread["labelSelector"]["matchLabels"].items() <= labels.items()


def test_prometheus_scrapes_the_service_under_the_job_that_the_rules_expect() -> None:
    monitor, service = (one("overlays/example", kind) for kind in ("ServiceMonitor", "Service"))
    labels = service["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    (scrape,) = read("prometheus/prometheus.yml")["scrape_configs"]
    assert labels[monitor["spec"]["jobLabel"]] == scrape["job_name"]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["path"] in paths()
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]


def test_the_rules_of_the_operator_are_those_of_prometheus() -> None:
    """Else: .venv/bin/python deploy/kubernetes/make_rules.py."""
    assert TARGET.read_text(encoding="utf-8") == page()
    groups = yaml.safe_load(page())["spec"]["groups"]
    assert groups == [
        *read("prometheus/rules.yml")["groups"],
        *read("prometheus/alerts.yml")["groups"],
    ]


@pytest.mark.parametrize("name", BUILDS)
def test_the_pod_says_what_the_code_says(name: str, tmp_path: Path) -> None:
    found, given = container(name), settings(name, tmp_path)
    assert given.web.host == "0.0.0.0"  # noqa: S104 - said on purpose, in the pod alone
    assert [port["containerPort"] for port in found["ports"]] == [given.web.port] == [PORT]
    (port,) = one(name, "Service")["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (PORT, found["ports"][0]["name"])
    probes = {kind: found[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness")}
    probes["readiness"] = found["readinessProbe"]["httpGet"]
    said = {kind: probe["path"] for kind, probe in probes.items()}
    assert said == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    assert set(said.values()) <= paths()
    assert {probe["port"] for probe in probes.values()} == {"http"}
    kafka, mounts = given.source.kafka, {m["mountPath"]: m for m in found["volumeMounts"]}
    assert kafka is not None
    assert (kafka.membership, kafka.instance) == ("group", "adaptd-0")
    for file in (kafka.ssl_cafile, kafka.sasl_plain_password_file):
        folder, key = str(file).rsplit("/", 1)
        assert mounts[folder]["name"] == "kafka"
        assert key in SECRETS["adaptd-kafka"]
    assert found["args"] == ["run", "/etc/adaptd/settings.toml"]
    assert mounts["/etc/adaptd"]["name"] == "settings"
    assert HOME in mounts
    store = str(given.checkpoint.folder)
    assert store.startswith(HOME if name == "base" else "s3:/")
    assert f"{USER}:{USER}" == dockerfile()["USER"]


@pytest.mark.parametrize("name", BUILDS)
def test_the_pod_keeps_to_the_restricted_profile(name: str) -> None:
    whole, each = pod(name), container(name)
    security = whole["securityContext"]
    assert security["runAsNonRoot"]
    assert {security["runAsUser"], security["runAsGroup"], security["fsGroup"]} == {USER}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert each["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(whole)
    assert "hostPort" not in each["ports"][0]
    kinds = {kind for volume in whole["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"configMap", "secret", "persistentVolumeClaim", "emptyDir"}
    assert not whole["automountServiceAccountToken"]
    assert each["resources"]["limits"]["memory"]
    assert each["resources"]["requests"].keys() == {"cpu", "memory"}


def test_scaling_watches_the_lag_of_the_very_group(tmp_path: Path) -> None:
    scaled, given = one("overlays/example", "ScaledObject"), settings("overlays/example", tmp_path)
    kafka = given.source.kafka
    assert kafka is not None
    (trigger,) = scaled["spec"]["triggers"]
    meta = trigger["metadata"]
    assert meta["bootstrapServers"] == kafka.bootstrap
    assert (meta["topic"], meta["consumerGroup"]) == (kafka.events, kafka.group)
    assert meta["offsetResetPolicy"] == kafka.start
    assert int(meta["lagThreshold"]) > 0
    assert meta["allowIdleConsumers"] == "false"  # never more pods than partitions
    assert meta["sasl"] == "scram_sha512"
    assert kafka.sasl_mechanism == "SCRAM-SHA-512"
    assert (meta["tls"], kafka.security_protocol) == ("enable", "SASL_SSL")
    target = scaled["spec"]["scaleTargetRef"]
    stateful = one("overlays/example", "StatefulSet")
    assert (target["kind"], target["name"]) == ("StatefulSet", stateful["metadata"]["name"])
    assert "replicas" not in stateful["spec"]  # else each apply would undo the scaling
    asked = one("overlays/example", "TriggerAuthentication")
    assert trigger["authenticationRef"]["name"] == asked["metadata"]["name"]
    for reference in asked["spec"]["secretTargetRef"]:
        assert reference["key"] in SECRETS[reference["name"]]


def test_the_time_to_stop_is_enough_everywhere() -> None:
    """A daemon makes its last answers durable, hands its states over, and writes the last one."""
    least = 2 * (PATIENCE + HANDOVER)
    compose = read("compose.yaml")["services"]["adaptd"]["stop_grace_period"]
    unit = (DEPLOY / "systemd" / "adaptd.service").read_text(encoding="utf-8")
    systemd = next(line for line in unit.splitlines() if line.startswith("TimeoutStopSec="))
    assert int(compose.removesuffix("s")) > least
    assert int(systemd.partition("=")[2]) > least
    assert pod("base")["terminationGracePeriodSeconds"] > least
