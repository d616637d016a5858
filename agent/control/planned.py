"""A controller that plans through a learned model of dynamics, and goes on learning it.

The model is a learner of rows (see `dynamics`), as a rule under task inference: then the plan is
made through the state that answers best now, and changes of body are the learner's. Of any other
learner, the surprise is watched (see `agent.nets.surprise`), and every change is a new body.

Shapes: N robots, C candidates, H horizon, O observations, A actions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from agent.control.controller import Kind, Noticed
from agent.control.dynamics import Dynamics
from agent.control.objectives import Objective
from agent.control.planner import Planner, shifted
from agent.learners.base import Learner, Numbers, State
from agent.learners.inferring import Inferring
from agent.nets import part, prefixed
from agent.nets.surprise import Surprise, oddness


@dataclass(frozen=True, slots=True)
class Planned:
    """Model-predictive control through a learner.

    Args:
        learner: of the view's spec.
        dynamics: between observations and its rows.
        objective: what is wanted.
        planner: how it is sought.
        surprise: the detector of changes, where the learner infers none itself.
    """

    learner: Learner
    dynamics: Dynamics
    objective: Objective
    planner: Planner
    surprise: Surprise

    def begin(self, robots: int) -> State:
        """The learner's start, nothing planned, nothing suspected."""
        with torch.no_grad():
            learner = self.learner.begin(robots)
        return {
            **prefixed("learner", learner),
            **prefixed("planner", self.planner.begin(robots, self.dynamics.view.actions)),
            **prefixed("surprise", self.surprise.begin(robots)),
            "body": torch.zeros(robots, dtype=torch.int64),
        }

    def act(self, state: State, obs_NO: Tensor, draw: torch.Generator) -> tuple[State, Tensor]:
        """Improve the plan, give its first actions, and move on in it."""
        with torch.no_grad():
            model, at = self._model(part("learner", state))

            def value(action_NCHA: Tensor) -> Tensor:
                return self._worth(model, at, obs_NO, action_NCHA)

            planned = self.planner.improve(part("planner", state), value, draw)
        return {**state, **prefixed("planner", shifted(planned))}, planned["plan"][:, 0]

    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[State, Noticed]:
        """Be surprised, and learn."""
        with torch.no_grad():
            x_N1F = self.dynamics.rows(obs_NO, action_NA).unsqueeze(1)
            y_N1B = self.dynamics.targets(obs_NO, next_NO).unsqueeze(1)
            was = part("learner", state)
            said, learner = self.learner.predict_then_learn(was, x_N1F, y_N1B)
            assert isinstance(said, Numbers)  # noqa: S101 - the view's spec asks for numbers
            surprise_N = oddness(y_N1B, *said.moments())[:, 0]
            watch, raised_N = self.surprise.hear(part("surprise", state), surprise_N)
        after = {**state, **prefixed("learner", learner), **prefixed("surprise", watch)}
        if isinstance(self.learner, Inferring):
            return after, _inferred(self.learner, was, learner, surprise_N)
        body_N = state["body"] + raised_N
        change: list[Kind] = ["new" if one else "" for one in raised_N.tolist()]
        evidence = [{"evidence of change": one} for one in watch["evidence"].tolist()]
        noticed = Noticed(surprise_N, change, body_N, [1] * len(change), evidence)
        return {**after, "body": body_N}, noticed

    def reset(self, state: State, fresh_N: Tensor) -> State:
        """Forget the plans of those that begin anew."""
        plan = state["planner.plan"]
        keep_N11 = (~fresh_N).view(-1, 1, 1).to(plan.dtype)
        return {**state, "planner.plan": plan * keep_N11}

    def _model(self, state: State) -> tuple[Learner, State]:
        """What is planned through."""
        if isinstance(self.learner, Inferring):
            return self.learner.foremost(state)
        return self.learner, state

    def _worth(self, model: Learner, at: State, obs_NO: Tensor, action_NCHA: Tensor) -> Tensor:
        """What the model foresees of candidates is worth, shape NC."""
        obs_NCO = obs_NO.unsqueeze(1).expand(-1, action_NCHA.shape[1], -1)
        horizon, worth = action_NCHA.shape[2], torch.zeros_like(action_NCHA[:, :, 0, 0])
        for step in range(horizon):
            action_NCA = action_NCHA[:, :, step]
            obs_NCO = self.dynamics.step(model, at, obs_NCO, action_NCA)
            worth = worth + self.objective(obs_NCO, action_NCA, horizon - 1 - step)
        return worth


def _inferred(learner: Inferring, was: State, now: State, surprise_N: Tensor) -> Noticed:
    """What task inference makes of a step."""
    before, after = learner.believed(was), learner.believed(now)
    changed_N = after.changes_T > before.changes_T
    new_N = after.new_T > before.new_T
    change: list[Kind] = [
        ("new" if new else "returned") if changed else ""
        for changed, new in zip(changed_N.tolist(), new_N.tolist(), strict=True)
    ]
    known_NM = after.ids_TM >= 0
    beliefs = [
        _belief(ids, chances)
        for ids, chances in zip(after.ids_TM.tolist(), after.posterior_TM.tolist(), strict=True)
    ]
    bodies = known_NM.sum(1).tolist()
    return Noticed(surprise_N, change, after.number_T, bodies, beliefs)


def _belief(ids: list[int], chances: list[float]) -> Mapping[str, float]:
    """Probabilities of bodies, by the names that people know."""
    known = {f"body {one}": chance for one, chance in zip(ids, chances, strict=True) if one >= 0}
    return {**known, "new body": max(1.0 - sum(known.values()), 0.0)}
