"""The default agent as an entrant."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import torch

from agent.continual.default import AgentSettings
from agent.encode import EncoderSettings
from agent.evaluate.plan import Plan
from agent.service.prequential import Prequential
from agent.service.report import Scores
from streams.labels import PendingSettings
from streams.records import Record
from streams.schema import Schema

EVER: Final = 1e12  # seconds


@dataclass(slots=True)
class Ours:
    """The default agent, at work."""

    agent: Prequential

    def feed(self, records: Sequence[Record]) -> Scores:
        """Test then train."""
        return self.agent.feed(records).scores


@dataclass(frozen=True, slots=True)
class Agent:
    """The default agent.

    Args:
        schema: what a record holds.
        pending: how long events wait for their labels.
        agent: its settings.
        encoder: how events become rows.
        threads: for tensors; 0 leaves the choice to torch.
        name: in the table.
    """

    schema: Schema
    pending: PendingSettings = field(default_factory=PendingSettings)
    agent: AgentSettings = field(default_factory=AgentSettings)
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    threads: int = 1
    name: str = "adaptd"

    @classmethod
    def of(cls, plan: Plan, agent: AgentSettings, threads: int) -> "Agent":
        """Enter it with bounds under which no event is dropped before its label comes."""
        least = PendingSettings()
        most = max(least.most, 2 * (plan.delay_events or 0), 10**6 * bool(plan.delay_seconds))
        waits = plan.delay_events or plan.delay_seconds
        pending = PendingSettings(ttl=EVER if waits else least.ttl, most=most)
        return cls(plan.guess.schema, pending, agent, threads=threads)

    def make(self) -> Ours:
        """Build it."""
        if self.threads:
            torch.set_num_threads(self.threads)
        return Ours(Prequential.build(self.schema, self.agent, self.encoder, self.pending))
