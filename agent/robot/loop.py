"""The loop of control: see, act, learn; and all that changes in it, as one state.

Shapes: N robots, O observations, A actions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.control.controller import Controller
from agent.learners.base import State
from agent.robot.turn import Spent, Turn
from agent.robot.world import Json, World
from agent.service.clocks import Clocks


@dataclass(frozen=True, slots=True)
class LifeState:
    """All that changes outside the world.

    Args:
        step: steps of the life so far.
        obs_NO: what is seen now.
        mind: the controller's state.
        draw: the state of the generator that actions are drawn from.
        truth: the bodies of the step before, for judges.
    """

    step: int
    obs_NO: Tensor
    mind: State
    draw: Tensor
    truth: tuple[str, ...]


def settled(mind: State) -> State:
    """Give a state as a snapshot gives it back: rounding hangs on how tensors lie in memory."""
    plain = torch.contiguous_format
    return {name: tensor.detach().clone(memory_format=plain) for name, tensor in mind.items()}


class Loop:
    """Steps a world by a controller.

    Args:
        world: the robots.
        controller: what drives them.
        seed: of the generator that actions are drawn from.
        clocks: time.
    """

    def __init__(self, world: World, controller: Controller, seed: int, clocks: Clocks) -> None:
        self._world, self._controller, self._clocks = world, controller, clocks
        self._draw = torch.Generator().manual_seed(seed)
        self.state = LifeState(
            step=0,
            obs_NO=torch.from_numpy(world.reset()).clone(),
            mind=settled(controller.begin(world.robots)),
            draw=self._draw.get_state(),
            truth=(),
        )

    @property
    def steps(self) -> int:
        """Steps of the life so far."""
        return self.state.step

    def turn(self) -> Turn:
        """Take one step of control."""
        now, state, truth = self._clocks.now, self.state, tuple(self._world.truth())
        began = now()
        mind, action_NA = self._controller.act(state.mind, state.obs_NO, self._draw)
        action_NA = action_NA.detach().clamp(-1, 1)
        planned = now()
        moved = self._world.step(action_NA.numpy())
        stepped = now()
        next_NO = torch.from_numpy(moved.next_NO).clone()
        mind, noticed = self._controller.learn(mind, state.obs_NO, action_NA, next_NO)
        if moved.fresh_N.any():
            mind = self._controller.reset(mind, torch.from_numpy(moved.fresh_N))
        ended = now()
        start_NO = torch.from_numpy(moved.start_NO).clone()
        self.state = LifeState(
            state.step + 1, start_NO, settled(mind), self._draw.get_state(), truth
        )
        return Turn(
            step=state.step + 1,
            now=ended,
            wall=self._clocks.wall(),
            reward_N=moved.reward_N,
            surprise_N=noticed.surprise_N.detach().float().numpy(),
            change=tuple(noticed.change),
            body_N=noticed.body_N.long().numpy(),
            bodies=tuple(noticed.bodies),
            belief=tuple(noticed.belief),
            truth=truth,
            altered=bool(state.truth) and truth != state.truth,
            fallen_N=moved.fallen_N,
            spent=Spent(planned - began, ended - stepped, stepped - planned),
        )

    def photograph(self) -> tuple[dict[str, Tensor | NDArray[Any]], Json]:
        """Give all that changes, the world's state too, for a checkpoint."""
        state = self.state
        arrays, world = self._world.state()
        whole: dict[str, Tensor | NDArray[Any]] = {"obs": state.obs_NO, "draw": state.draw}
        whole |= {f"mind.{name}": tensor for name, tensor in state.mind.items()}
        whole |= {f"world.{name}": array for name, array in arrays.items()}
        return whole, {"step": state.step, "truth": list(state.truth), "world": world}

    def restore(self, arrays: Mapping[str, Tensor | NDArray[Any]], meta: Json) -> bool:
        """Go back to a photograph.

        Returns:
            Whether what follows is what followed then, to the bit; else the world could not go
            back, and a new episode begins with all that was learned.
        """
        world = {
            name.removeprefix("world."): torch.as_tensor(array).numpy()
            for name, array in arrays.items()
            if name.startswith("world.")
        }
        mind: State = {
            name.removeprefix("mind."): torch.as_tensor(array).clone()
            for name, array in arrays.items()
            if name.startswith("mind.")
        }
        fresh_NO = self._world.restore(world, meta["world"])
        obs_NO = torch.as_tensor(arrays["obs"]).clone()
        if fresh_NO is not None:
            obs_NO = torch.from_numpy(fresh_NO).clone()
            mind = self._controller.reset(mind, torch.ones(len(obs_NO), dtype=torch.bool))
        draw = torch.as_tensor(arrays["draw"]).clone()
        self._draw.set_state(draw)
        self.state = LifeState(meta["step"], obs_NO, mind, draw, tuple(meta["truth"]))
        return fresh_NO is None
