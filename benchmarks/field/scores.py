"""From runs to tables: every model's figures on a stream, its rank there, and over all streams.

A stream is judged by one figure: kappa, average precision where a class is rare, MAE for numbers.
Two models are compared on the labels that both met: one may have been cut short. Those of equal
figures share a rank; one without a figure comes last.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from benchmarks.field.peers import CODED
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

Found: TypeAlias = dict[str, Any]
Groups: TypeAlias = dict[tuple[str, str, str], list[Found]]
At: TypeAlias = Callable[[Found, int], float | None]
"""The figure that judges a run's stream, over the run's first so many labels."""


def whole(run: Found, _: int) -> float | None:
    """Take the figure over all labels."""
    value: float | None = run[run["judge"]]
    return value


def by_stream(found: Sequence[Found], at: At = whole) -> list[Row]:
    """Give a row a stream and model: the means over seeds; `*` marks one that met fewer rows."""
    groups: Groups = {}
    for one in found:
        groups.setdefault((one["stream"], one["peer"], one["library"]), []).append(one)
    groups = _better(groups, at)
    rows: list[Row] = []
    for (stream, *_), runs in groups.items():
        rivals = [other for (name, *_), other in groups.items() if name == stream]
        rows.append(_row(runs) | {"rank": rank(runs, rivals, at)})
    return sorted(rows, key=lambda row: (row["judge"], row["stream"], row["rank"]))


def _better(groups: Groups, at: At) -> Groups:
    """Of a peer's two ways with words keep the better on each stream, in hindsight."""
    kept: Groups = {}
    for (stream, peer, library), runs in groups.items():
        key = stream, peer.removesuffix(CODED), library
        other = kept.get(key)
        if other is None or rank(runs, [other], at) < 1.0:  # 0.5 where it is ahead
            kept[key] = runs
    return kept


def _row(runs: Sequence[Found]) -> dict[str, Cell]:
    first = runs[0]
    peer, library = first["peer"].removesuffix(CODED), first["library"].partition(" ")[0]
    name = NAMES.get(peer, peer)
    rate = mean([one["events_per_s"] for one in runs])
    return {
        "stream": first["stream"],
        "judge": first["judge"],
        "model": name if library in {"none", name} else f"{name} ({library})",
        "seeds": len(runs),
        "events": f"{first['events']:,}" + ("" if first["all"] else " *"),
        **{name: mean([one[name] for one in runs]) for name in FIGURES},
        "events/s": rate and round(rate),
        "events/CPU-s": round(_rate(first, "cpu_s")),
        "times ARF": _times(runs, "seconds"),
        "times ARF, CPU": _times(runs, "cpu_s"),
        "peak MiB": max(round(one["peak_rss_bytes"] / 2**20) for one in runs),
    }


def _rate(run: Found, clock: str, of: str = "") -> float:
    return float(run[f"{of}events"] / max(run[f"{of}{clock}"], 1e-9))


def _times(runs: Sequence[Found], clock: str) -> float | None:
    """Give our rate over that of ARF on the first rows, taken right after, by either clock."""
    return mean(
        [_rate(one, clock) / _rate(one, clock, "arf_") for one in runs if "arf_events" in one]
    )


def rank(runs: Sequence[Found], rivals: Sequence[Sequence[Found]], at: At) -> float:
    """Give a model's rank among all of its stream, itself among them."""
    ahead = 0.5
    for other in rivals:
        both = min(one["labels"] for one in (*runs, *other))
        mine, theirs = _loss(runs, both, at), _loss(other, both, at)
        ahead += 1.0 if theirs < mine else 0.5 if theirs == mine else 0.0
    return ahead


def _loss(runs: Sequence[Found], labels: int, at: At) -> float:
    value = mean([at(one, labels) for one in runs])
    if value is None:
        return float("inf")
    return value if runs[0]["judge"] == "mae" else -value


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
    first = {
        stream: min(float(row["rank"] or 0.0) for row in rows if row["stream"] == stream)
        for stream in {row["stream"] for row in own}
    }
    rates = [float(row["events/s"] or 0.0) for row in own]
    return {
        "model": model,
        "streams": len(own),
        "cut short": sum(str(row["events"]).endswith("*") for row in own),
        "mean rank": mean([float(row["rank"] or 0.0) for row in own]),
        "wins": sum(row["rank"] == first[row["stream"]] for row in own),
        "mean kappa": mean([row["kappa"] for row in own]),  # type: ignore[misc]  # never a text
        "median events/s": round(sorted(rates)[len(rates) // 2]),
    }


def beside_best(rows: Sequence[Row], ours: str) -> list[Row]:
    """Give a row a stream: our figure, the best peer's, and how far ahead we are of it."""
    found: list[Row] = []
    for mine in (row for row in rows if row["model"] == ours):
        judge = str(mine["judge"])
        others = [row for row in rows if row["stream"] == mine["stream"] and row is not mine]
        if not others:
            continue
        best = min(others, key=lambda row: float(row["rank"] or 0.0))
        figures = mine[judge], best[judge]
        ahead = (
            float(figures[0]) - float(figures[1])
            if isinstance(figures[0], float) and isinstance(figures[1], float)
            else None
        )
        found.append(
            {
                "stream": mine["stream"],
                "judge": judge,
                ours: figures[0],
                "best peer": best["model"],
                "its figure": figures[1],
                "ahead": -ahead if ahead is not None and judge == "mae" else ahead,
                "rank": mine["rank"],
            }
        )
    return found
