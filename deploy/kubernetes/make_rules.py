"""Writes the rules of deploy/prometheus as the Prometheus Operator's resource.

Run it after a change of the rules: .venv/bin/python deploy/kubernetes/make_rules.py
"""

from pathlib import Path

HERE = Path(__file__).parent
RULES = HERE.parent / "prometheus"
TARGET = HERE / "components" / "monitoring" / "prometheusrule.yaml"
HEAD = """\
# Made from deploy/prometheus/rules.yml and alerts.yml by make_rules.py; change those.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: adaptd
  labels:
    app.kubernetes.io/name: adaptd
spec:
  groups:
"""


def page() -> str:
    """Give the resource: the groups of both files, word for word."""
    lines = []
    for name in ("rules.yml", "alerts.yml"):
        text = (RULES / name).read_text(encoding="utf-8")
        _, groups = text.split("\ngroups:\n")
        lines += [f"  {line}".rstrip() for line in groups.rstrip().splitlines()]
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
