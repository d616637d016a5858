"""HalfCheetah with a dead motor: what is made of the rest within 20 s, without a reset.

Robots run intact, a motor dies at step 100, nobody tells them. What is measured: reward a step in
the last 5 of the 20 s after that, and over all 20, beside the robust policy's, that of who is told
the truth, and that of robots that stay intact over the same steps.

Shapes: T steps, N robots.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from agent.control.context_policy import ThroughSelf
from agent.control.controller import Controller
from agent.robot import train_cheetah as cheetah
from agent.robot.make_cheetah import SelfOptions
from agent.robot.make_trials import GAITS, GETUP
from agent.robot.ppo import actor_of
from agent.robot.trained import shipped, there
from benchmarks.robots.inverted import Group
from benchmarks.robots.lives import live
from benchmarks.robots.rivals import Climb
from benchmarks.robots.ways import Make, made, told, ways
from benchmarks.table import header
from envs.body import Body
from envs.life import Life
from envs.robots import ROBOTS

AT, AFTER, ROBOTS_EACH, FEW = 100, 400, 16, 4
LAST, WHOLE = slice(AT + AFTER - 100, AT + AFTER), slice(AT, AT + AFTER)
DREAM = 15.0  # CPU-seconds of simulation, of the 20 s that the robot goes on
OUT = Path("out/robots-dead.json")
ROBUST, TRUTH = "robust policy, no context", "told the truth"
OURS = "self-model and specialists"


def bodies() -> list[Body]:
    """Give every single dead motor, and the held-out pairs; the front shin is held out."""
    return [Body.parse(f"dead:{','.join(cheetah.named(one))}") for one in cheetah.dead_sets()]


def tried(seed: int) -> Mapping[str, Callable[[Body], Controller]]:
    """Give every way that was tried, each made for a body that it is not told of."""
    common: dict[str, Make] = dict(ways(seed, specialists=True))
    common["self-model"] = lambda: made("half-cheetah/self", SelfOptions(specialists=False))
    common[OURS] = lambda: made("half-cheetah/self")
    common["told the truth, no specialists"] = lambda: told(specialists=False)
    common["robust policy, search by trial online"] = lambda: Climb(
        actor_of(shipped("half-cheetah-robust")), seed
    )
    if there(GAITS) and there(GETUP):
        common["gaits by trial"] = lambda: made("half-cheetah/trials")
    each = {name: _any(make) for name, make in common.items()}
    return each | {DREAMT: lambda body: dreamt(body, seed)}


DREAMT = "self-model, fine-tuned in simulation while it goes on"
DREAMT_OF = ("dead:fshin", "dead:bthigh,fthigh")  # held-out ones; each is trained for every seed
SLOW = (
    DREAMT,
    "robust policy, online fine-tuning",
    "from scratch, online",
    "gaits by trial",
)


def _any(make: Make) -> Callable[[Body], Controller]:
    return lambda body: make()  # noqa: ARG005 - no way is told of the body


def dreamt(body: Body, seed: int) -> Controller:
    """Make one whose policy was fine-tuned, for `DREAM` seconds, in simulation of the dead motors.

    The simulation's gains are those that the self-model finds; it acts from the change on, which
    is earlier than it could: a bound from above on what such a way is worth.
    """
    motors = tuple(
        row
        for row, name in enumerate(ROBOTS[cheetah.ROBOT].actuators)
        if body.factor("gear", name) == 0
    )
    start = shipped("half-cheetah-told")
    done = cheetah.specialist(motors, DREAM, seed, lambda said: None, start)  # noqa: ARG005
    policies = cheetah.policies(None, {motors: actor_of(done.tensors)})
    return ThroughSelf(policies, cheetah.selfmodel(shipped("half-cheetah-self")))


def main(seeds: Sequence[int] = range(5)) -> None:
    """Print the table and write it."""
    last: dict[str, dict[str, list[float]]] = {}
    whole: dict[str, dict[str, list[float]]] = {}
    intact: list[float] = []
    for seed in seeds:
        intact.append(unhurt(seed))
        for name, make in tried(seed).items():
            few = FEW if name in SLOW else ROBOTS_EACH
            for group, chosen in _runs(name, few):
                ran = live(cheetah.ROBOT, lambda: make(chosen), group, AT + AFTER, seed)  # noqa: B023
                for of in _groups(group, few):
                    for window, rows in ((LAST, last), (WHOLE, whole)):
                        mine = rows.setdefault(name, {}).setdefault(of.name, [])
                        mine.append(float(ran.reward_TN[window, of.rows].mean()))
        write(last, whole, intact)
    report(last, intact)


def unhurt(seed: int) -> float:
    """Give the reward a step of robots that stay intact, over the same last steps."""
    lives = [Life()] * ROBOTS_EACH
    ran = live(cheetah.ROBOT, lambda: made("half-cheetah/self"), lives, AT + AFTER, seed)
    return float(ran.reward_TN[LAST].mean())


def _runs(name: str, few: int) -> list[tuple[list[Life], Body]]:
    """Give the lives of each run: all bodies at once, or one a run for who must be made for it."""
    lives = [[Life(((0, Body()), (AT, body)))] * few for body in bodies()]
    if name == DREAMT:
        both = zip(lives, bodies(), strict=True)
        return [(some, body) for some, body in both if str(body) in DREAMT_OF]
    return [([one for some in lives for one in some], Body())]


def _groups(lives: Sequence[Life], few: int) -> list[Group]:
    return [
        Group(str(lives[row].bodies[-1]), slice(row, row + few))
        for row in range(0, len(lives), few)
    ]


def shares(
    last: Mapping[str, Mapping[str, Sequence[float]]], intact: Sequence[float]
) -> dict[str, dict[str, float]]:
    """Give what is earned beside the robust policy, the truth told and the intact robot, by body.

    The last row is the most that the first can be: what an intact robot earns beside the robust
    policy. Where that is not above 0 there is no such figure.
    """
    mean = {way: {name: float(np.mean(some)) for name, some in of.items()}
            for way, of in last.items() if way in (OURS, TRUTH, ROBUST)}  # fmt: skip
    whole, names = float(np.mean(intact)), list(mean[ROBUST])
    some = [name for name in names if mean[ROBUST][name] > 0]
    return {
        "times the robust policy's": {name: mean[OURS][name] / mean[ROBUST][name] for name in some},
        "of the truth told": {name: mean[OURS][name] / mean[TRUTH][name] for name in names},
        "of the intact robot's": {name: mean[OURS][name] / whole for name in names},
        "intact robot's, times the robust": {name: whole / mean[ROBUST][name] for name in some},
    }


def report(last: dict[str, dict[str, list[float]]], intact: Sequence[float]) -> None:
    """Print what was measured."""
    base = {name: float(np.mean(some)) for name, some in last[ROBUST].items()}
    names = list(base)
    print("Reward a step, 15 to 20 s after the motor died, and times the robust policy's\n")
    single = [name for name in names if "," not in name]
    whole = float(np.mean([base[name] for name in single]))
    heads = ["mean of single motors", *names]
    print("| way | " + " | ".join(heads) + " |\n|---" + "|---:" * len(heads) + "|")
    for way, of in last.items():
        cells = [_cell(of[name], base[name]) if name in of else "-" for name in names]
        every = all(name in of for name in single)
        cells = [
            _cell([float(np.mean(of[name])) for name in single], whole) if every else "-",
            *cells,
        ]
        print("| " + " | ".join([way, *cells]) + " |")
    print(f"\nIntact: {np.mean(intact):.2f}\n")
    for row, some in shares(last, intact).items():
        print(f"{row}: " + ", ".join(f"{name} {one:.2f}" for name, one in some.items()))


def write(
    last: dict[str, dict[str, list[float]]],
    whole: dict[str, dict[str, list[float]]],
    intact: Sequence[float],
) -> None:
    """Write what was measured so far."""
    told = {
        "header": header("python -m benchmarks.robots dead"),
        "seeds": len(intact), "robots": ROBOTS_EACH, "last 5 s": last,
        "self-model and specialists, last 5 s": shares(last, intact), "all 20 s": whole,
        "intact, last 5 s": {"reward a step": list(intact)},
    }  # fmt: skip
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _cell(some: Sequence[float], base: float) -> str:
    mean = float(np.mean(some))
    return f"{mean:.2f} ({mean / base:.2f}x)" if base > 0 else f"{mean:.2f}"
