"""Synthetic runs of the loop's reports, for whatever watches: no daemon, no learner, one seed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from agent.continual.changes import Change, TaskReport
from agent.service.report import Checkpoint, Memory, Probed, Scores, Step
from streams.schema import Goal

START = 1_700_000_000.0
VOICES = ("attention", "network", "recency", "river:ARF", "prior")


def class_scores(rng: np.random.Generator, size: int, share: float, skill: float) -> Scores:
    """Labels of two classes, `share` of them of class 1, seen through noise that skill lowers."""
    truth = (rng.random(size) < share).astype(np.float64)
    logit = np.log(share / (1 - share)) + skill * (2 * truth - 1) + rng.normal(0, 1.2, size)
    score = 1 / (1 + np.exp(-logit))
    loss = -np.log(np.where(truth == 1, score, 1 - score))
    return Scores(truth, (score > 0.5).astype(np.float64), loss, _delays(rng, size), score)


def number_scores(rng: np.random.Generator, size: int, error: float) -> Scores:
    """Labels that are numbers of deviation 5, guessed with errors of this deviation."""
    truth = rng.normal(20, 5, size)
    guess = truth + rng.normal(0, error, size)
    loss = 0.5 * ((truth - guess) / error) ** 2 + np.log(error) + 0.919
    return Scores(truth, guess, loss, _delays(rng, size), np.zeros(size))


def synthetic_run(
    goal: Goal = "classes",
    steps: int = 600,
    batch: int = 200,
    share: float = 0.03,
    tick: float = 0.1,
    drifts: Sequence[float] = (0.35, 0.7),
    tasks: Sequence[int] = (),
) -> Iterator[Step]:
    """Give a run whose skill grows, falls at each drift, and grows again.

    With `tasks`, these take turns, each as long as the others.
    """
    rng = np.random.default_rng(7)
    for index in range(steps):
        part = (index + 1) / steps
        since = part - max([0.0, *(drift for drift in drifts if drift < part)])
        skill = 2.8 * (1 - np.exp(-since * 9))
        size = int(batch * (0.8 + 0.2 * np.sin(part * 9) + 0.1 * rng.random()))
        scores = (
            class_scores(rng, size, share, skill)
            if goal == "classes"
            else number_scores(rng, size, 5.0 - 1.5 * skill)
        )
        step = _step(rng, index, tick, scores, part, since)
        yield replace(step, tasks=task_report(tasks, part)) if tasks else step


def task_report(order: Sequence[int], part: float) -> TaskReport:
    """What is believed of tasks that take turns, so far into a run; five are remembered at most."""
    turn = min(int(part * len(order)), len(order) - 1)
    met = list(dict.fromkeys(order[turn::-1]))[:5]
    since = part * len(order) - turn
    sure = 0.97 - 0.5 * np.exp(-since * 12)
    share = np.array([sure, *(0.9 * (1 - sure) / max(len(met) - 1, 1),) * (len(met) - 1)])
    noticed = tuple(
        Change(100 * at, "returned" if order[at] in order[:at] else "new", order[at], 0.99991)
        for at in range(1, turn + 1)
    )
    new = sum(one.kind == "new" for one in noticed)
    counts = {"new": new, "returned": len(noticed) - new}
    posterior = dict(zip(met, share.tolist(), strict=True))
    return TaskReport(met[0], float(sure), len(met), posterior, 0.001, counts, noticed)


def _step(
    rng: np.random.Generator, index: int, tick: float, scores: Scores, part: float, since: float
) -> Step:
    size = len(scores)
    refused = {"not_a_number": 1} if rng.random() < 0.05 else {}
    return Step(
        now=index * tick,
        wall=START + index * tick,
        events=size + int(rng.random() * 3),
        predictions=size,
        labels={"joined": size, "duplicate": int(rng.random() < 0.1), "orphan": 0},
        refused=refused if rng.random() < 0.8 else {"undecodable": 1},
        seconds={
            "poll": 0.002,
            "encode": 0.004,
            "learn": 0.03 + 0.01 * rng.random(),
            "publish": 0.003,
        },
        scores=scores,
        voices=_voices(part, since),
        classes=("legitimate", "fraud") if scores.score.any() else (),
        pending=3_000 + int(800 * np.sin(part * 12)),
        event_time=START + index * 600.0,
        lag=int(max(0, 400 * np.sin(part * 20))),
        checkpoint=Checkpoint(0.19, 51_380_224, START + index * tick - index % 50 * tick),
        memory=_memory(part, since),
    )


def _memory(part: float, since: float) -> Memory:
    """Old tasks that are slowly forgotten, of which there are more and more."""
    old = range(int(3 * part + 0.9))
    tasks = tuple(Probed(i, 64, 0.1 + 0.02 * i, 0.12 + 0.02 * i + 0.1 * since) for i in old)
    ready = {"effective_step": 0.01 - 0.005 * part, "dormant_units": 0.1 * part}
    return Memory(tasks, ready | {"effective_rank": 20.5 - 4 * part})


def _voices(part: float, since: float) -> dict[str, float]:
    strength = np.array([2.2 * part + since, 1.6, 1.4 - 2 * since, 0.8 + np.sin(part * 7), 0.3])
    weight = np.exp(1.4 * strength)
    return dict(zip(VOICES, (weight / weight.sum()).tolist(), strict=True))


def _delays(
    rng: np.random.Generator, size: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return rng.lognormal(np.log(3_600 * 18), 0.7, size)
