"""From runs to tables: every model's figures on a stream, its rank there, and over all streams.

A stream is judged by one figure: kappa, average precision where a class is rare, MAE for numbers.
Models share a rank when their figures are the same; one without a figure comes last.
"""

from collections.abc import Sequence
from typing import Any, Final

from benchmarks.runs import mean
from benchmarks.table import Cell, Row

FIGURES: Final = ("accuracy", "kappa", "average_precision", "mae")
NAMES: Final = {
    "nb": "naive Bayes",
    "hat": "HAT",
    "knn": "kNN",
    "arf": "ARF",
    "lb": "leveraging bagging",
    "srp": "SRP",
    "mlp": "MLP",
    "linear": "linear",
    "river-arf": "ARF, 10 trees",
    "river-knn": "kNN",
    "soknl": "SOKNL",
}

Found = dict[str, Any]


def by_stream(found: Sequence[Found]) -> list[Row]:
    """Give a row a stream and model: the means over seeds; `*` marks one that met fewer rows."""
    groups: dict[tuple[str, str, str], list[Found]] = {}
    for one in found:
        groups.setdefault((one["stream"], one["peer"], one["library"]), []).append(one)
    rows = [_row(runs) for runs in groups.values()]
    ranked = ranks(rows)
    rows = [row | {"rank": rank} for row, rank in zip(rows, ranked, strict=True)]
    return sorted(rows, key=lambda row: (row["judge"], row["stream"], row["rank"]))


def _row(runs: Sequence[Found]) -> dict[str, Cell]:
    first = runs[0]
    name, library = NAMES.get(first["peer"], first["peer"]), first["library"].partition(" ")[0]
    arf = mean([one.get("arf_events_per_s") for one in runs])
    rate = mean([one["events_per_s"] for one in runs])
    return {
        "stream": first["stream"],
        "judge": first["judge"],
        "model": name if library in {"none", name} else f"{name} ({library})",
        "seeds": len(runs),
        "events": f"{first['events']:,}" + ("" if first["all"] else " *"),
        **{name: mean([one[name] for one in runs]) for name in FIGURES},
        "events/s": rate and round(rate),
        "times ARF": rate / arf if rate and arf else None,
        "peak MiB": max(round(one["peak_rss_bytes"] / 2**20) for one in runs),
    }


def ranks(rows: Sequence[Row]) -> list[float]:
    """Give each row's rank on its stream; those of equal figures share the mean of their places."""
    found = []
    for row in rows:
        others = [_loss(one) for one in rows if one["stream"] == row["stream"]]
        mine = _loss(row)
        better = sum(loss < mine for loss in others)
        found.append(better + (sum(loss == mine for loss in others) + 1) / 2)
    return found


def _loss(row: Row) -> float:
    judge = str(row["judge"])
    value = row[judge]
    if not isinstance(value, float | int):
        return float("inf")
    return value if judge == "mae" else -value


def by_model(rows: Sequence[Row]) -> list[Row]:
    """Give a row a model: its mean rank, wins and mean kappa, and on how many streams.

    Classes and numbers are apart; a model that shares the first rank has won.
    """
    found: list[Row] = []
    for numbers in (False, True):
        own = [row for row in rows if (row["judge"] == "mae") == numbers]
        models = [_over(own, name) for name in dict.fromkeys(str(row["model"]) for row in own)]
        goal = "number" if numbers else "classes"
        found += [{"goal": goal, **one} for one in sorted(models, key=lambda one: one["mean rank"])]
    return found


def _over(rows: Sequence[Row], model: str) -> dict[str, Any]:
    own = [row for row in rows if row["model"] == model]
    best = {
        row["stream"]: min(_loss(one) for one in rows if one["stream"] == row["stream"])
        for row in own
    }
    kappas = [row["kappa"] for row in own if isinstance(row["kappa"], float | int)]
    rates = [float(row["events/s"] or 0.0) for row in own]
    return {
        "model": model,
        "streams": len(own),
        "cut short": sum(str(row["events"]).endswith("*") for row in own),
        "mean rank": mean([float(row["rank"] or 0.0) for row in own]),
        "wins": sum(_loss(row) == best[row["stream"]] for row in own),
        "mean kappa": mean(kappas),
        "median events/s": round(sorted(rates)[len(rates) // 2]),
    }
