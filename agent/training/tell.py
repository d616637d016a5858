"""What a run of `adaptd train` tells: how far apart the tasks are, and what came of it."""

from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from agent.learners.base import Learner
from agent.training.against import SHOTS, STEPS, Cell, cells, verdict
from agent.training.assess import assess
from agent.training.baselines import rivals
from agent.training.episodes import Sampler
from agent.training.mismatch import mismatch
from agent.training.plan import Asked, Plan
from agent.training.trainer import Trained
from agent.training.weights import Card, plain, save
from streams.worlds.tasks import Split, TaskWorld

UNLIKELY = 0.01


def tell_mismatch(world: TaskWorld, seed: int, err: Console) -> None:
    """Print how far the held-out tasks are from those that are trained on."""
    others: tuple[Split, ...] = ("validation", "test")
    for other in others:
        try:
            found = mismatch(world, "train", other, seed=seed)
        except ValueError as error:
            said = f"cannot be measured: {error}"
        else:
            said = (
                f"distance {found.distance:.3g}, {found.share:.1%} of the widest, p {found.p:.2g}"
            )
            if found.p < UNLIKELY:
                widest = ", ".join(f"{name} by {by:+.2g}" for name, by in found.widest)
                said += f"; most apart in {widest}"
        err.print(
            f"  tasks of train and {other}: {said}", style="dim", markup=False, highlight=False
        )


def tell(
    asked: Asked, made: Plan, done: Trained, tuned: tuple[Learner, str], out: Console, date: str
) -> None:
    """Hold the learner against the baselines on held-out tasks; write weights and card."""
    held, remark = tuned
    table = _against(asked, made, held)
    said = verdict(table, asked.learner)
    if remark:
        said += f" ({remark})"
    out.print(_grid(table, asked.learner))
    out.print(said, markup=False, highlight=False)
    card = Card.of(
        asked.learner, made.options, made.learner.spec,
        tasks=asked.tasks, task_settings=plain(made.world_settings), outer=made.entry.outer,
        training=asdict(made.settings), scores=tuple(cell.row(asked.learner) for cell in table),
        said=said, seconds=round(done.seconds, 1), stopped=done.stopped,
        command=asked.command, date=date,
    )  # fmt: skip
    save(asked.out, done.learner, card)
    out.print(f"weights and card: {asked.out}", markup=False, highlight=False)


def _against(asked: Asked, made: Plan, tuned: Learner) -> list[Cell]:
    settings, world = made.settings, made.world
    spec = made.learner.spec
    shots = [many for many in SHOTS if _has_rows(made, many)]
    everyone = {asked.learner: made.learner} | dict(
        rivals(spec, made.options, tuned, world, settings)
    )
    found = {
        name: assess(
            one, world, "test", tasks=asked.test_tasks, shots=shots, steps=STEPS,
            queries=settings.queries, seed=settings.seed, device=settings.device,
        )
        for name, one in everyone.items()
    }  # fmt: skip
    return cells(found.pop(asked.learner), found)


def _has_rows(made: Plan, shots: int) -> bool:
    """Say whether the test tasks have so many rows."""
    queries, seed = made.settings.queries, made.settings.seed
    try:
        Sampler(made.world, "test", 1, max(shots, 1), queries, seed).batch(0)
    except ValueError:
        return False
    return True


def _grid(table: list[Cell], name: str) -> Table:
    metric = table[0].ours.metric
    grid = Table(
        title=f"{metric} on held-out tasks, mean ± 95 % interval; gain over the better baseline",
        box=None, header_style="bold",
    )  # fmt: skip
    rows = [cell.row(name) for cell in table]
    for column in rows[0]:
        grid.add_column(column, justify="right")
    for row in rows:
        grid.add_row(*(str(value) for value in row.values()))
    return grid
