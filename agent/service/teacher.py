"""The learner and its open block: answers from the block as it stands, learns it when it is closed.

Shapes: B lanes, F columns, S floats kept of a prediction, W words behind it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import structlog
import torch
from numpy.typing import NDArray

from agent.continual.abreast import laid_out
from agent.continual.changes import TaskReport, changes, tasks_of
from agent.continual.growth import GROWTH, enough
from agent.continual.recall import Recalls, Told
from agent.continual.table import told
from agent.learners.base import Learner, Said, State
from agent.nets.plasticity import plasticity
from agent.service.agreement import bits_agree
from agent.service.answers import Answers
from agent.service.block import Block
from agent.service.calls import Call, Came, alone, no_denormals
from agent.service.tags import Tags
from streams.pool import UNSAID, Words

log = structlog.get_logger(__name__)

Batched: TypeAlias = Literal["auto", "on", "off"]
Leaf: TypeAlias = torch.Tensor | NDArray[Any]


class Teacher:
    """Holds a learner's state and the block that it will learn next.

    Args:
        learner: what learns; its `spec` says whether numbers or classes.
        answers: turns what it says into floats.
        lanes: B.
        device: where its tensors live.
        growth: how soon a young stream's block is learned; see `agent.continual.growth`.
    """

    def __init__(
        self,
        learner: Learner,
        answers: Answers,
        lanes: int,
        device: torch.device,
        growth: float = GROWTH,
    ) -> None:
        self._learner, self._answers, self._device = learner, answers, device
        self._state: State = {name: leaf.to(device) for name, leaf in learner.begin(1).items()}
        self.batched: Batched = "auto"
        self._told = 0  # the label of the last change that was logged
        self._broke = self.faults()  # those that were logged
        self.tags = Tags()
        self.tags.stand(self.tasks())
        self._recalls = learner if isinstance(learner, Recalls) else None
        self._said: Said | None = None  # of the block just learned
        self.unsaid = self._unsaid(learner.spec.classes)
        self._growth, self._labels = growth, 0  # labels learned before the open block
        self._base: State | None = None  # where the block began that is learned provisionally
        self._part = Block.empty(lanes, learner.spec.features, self.unsaid)  # of it, so far
        self.block = self._empty()

    def abreast(self) -> bool:
        """Whether its calls are made as one with those of others; tried once, if it has to be."""
        if self.batched == "auto":
            sure = self._device.type != "cpu" or bits_agree(
                self._learner, len(self.block.y_B), self._device
            )
            self.batched = "on" if sure else "off"
            log.info("shards are learned", together=sure)
        return self.batched == "on"

    def voices(self) -> dict[str, float]:
        """The experts' weights now; they sum to one."""
        standing = getattr(self._learner, "standing", None)
        if standing is None:
            return dict.fromkeys(self._learner.voices, 1 / len(self._learner.voices))
        return dict(standing(self._state))

    def tasks(self) -> TaskReport | None:
        """What is believed of the tasks in the stream; None where nothing looks for them."""
        return tasks_of(self._state)

    def faults(self) -> dict[str, int]:
        """How often each expert broke and was begun anew; empty where nobody counts."""
        counted = getattr(self._learner, "faults", None)
        return {} if counted is None else dict(counted(self._state))

    def plasticity(self) -> dict[str, float]:
        """How able to learn its networks are, by kind; nothing where there is none."""
        return plasticity(self._state)

    def answer(self) -> NDArray[np.float32]:
        """Answer the open block, shape BS; learn nothing."""
        return self.answered([alone(self.asks())])

    def asks(self) -> Call:
        """Give the call that answers the open block; `answered` takes what comes of it."""
        return self._call(self._state, self.block, teach=False)

    def answered(self, came: Sequence[Came]) -> NDArray[np.float32]:
        """Give what was said of the open block, shape BS."""
        self._state = came[0][1]
        return self._answers.said(came[0][0], self.block.asked)

    def ask(self, x_nF: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answer any rows as things stood when the block was opened, shape nS; learn nothing."""
        x = torch.from_numpy(x_nF).unsqueeze(0).to(self._device)
        with torch.inference_mode(), no_denormals():
            return self._answers.said(self._learner.predict(self._state, x), [])

    def learn(self) -> NDArray[np.float32]:
        """Answer the block, shape BS, and learn it. `open` begins the next."""
        return self.learned([alone(call) for call in self.lessons()])

    def lessons(self) -> list[Call]:
        """Give the calls that learn the block, once; `learned` takes what comes of them.

        The first answers it. The last gives the state after, from where the block began.
        """
        if self._base is None:
            return [self._call(self._state, self.block, teach=True)]
        answer = self.asks()
        self._part.take(self.block)
        return [answer, self._call(self._base, self._part, teach=True)]

    def learned(self, came: Sequence[Came]) -> NDArray[np.float32]:
        """Go on from what came of the lessons; give what was said of the block, shape BS."""
        self._said = came[0][0]
        self._follow(came[-1][1])
        self._labels += self.block.told
        return self._answers.said(self._said, self.block.asked)

    def _follow(self, after: State) -> None:
        """Go on from there: for good where the block is whole, else provisionally."""
        if self._base is None and self.block.lanes < self.block.room:
            self._base = self._state
            self._part.take(self.block)
        elif self._base is not None and self._part.full:
            self._forget_part()
        self._state = after

    def _forget_part(self) -> None:
        self._base = None
        lanes, width = self._part.x_BF.shape
        self._part = Block.empty(lanes, width, self.unsaid)

    def words(self) -> Words | None:
        """Give the words behind the answers of the block just learned, shape BW, before `open`.

        None: the learner has none to keep.
        """
        if not len(self.unsaid) or not isinstance(self._said, Told):
            return None
        with torch.inference_mode():
            words: Words = self._said.words()[0].cpu().numpy()
        return words

    def _latest(self) -> int:
        """The label of the last change that the state tells of."""
        return max((change.label for change in changes(self._state)), default=0)

    def _call(self, state: State, block: Block, *, teach: bool) -> Call:
        then = self._then(block) if self._recalls is not None and block.recalls else None
        return Call(self._learner, teach, state, self._lanes(block), then)

    def open(self) -> None:
        """Begin an empty block; report what the last one brought."""
        self._report()
        self._said = None
        self.block = self._empty()

    def _empty(self) -> Block:
        """A block as large as a whole one, with room for what is left of it."""
        lanes, width = self._part.x_BF.shape
        most = enough(self._labels, lanes, self._growth)
        return Block.empty(lanes, width, self.unsaid, most, lanes - self._part.lanes)

    def widen(self, room: int) -> None:
        """Make room for so many classes, before anything is in the block."""
        with torch.inference_mode():
            self._state = laid_out(self._learner.widen(self._state, room))
        self.unsaid = self._unsaid(room)
        self._forget_part()  # what was learned provisionally stays
        self.open()

    def snapshot(self) -> dict[str, Leaf]:
        """Give the state's leaves, and those of the block."""
        leaves: dict[str, Leaf] = dict(under("learner", self._state))
        leaves["labels"] = np.array(self._labels)
        if self._base is not None:
            leaves |= under("base", self._base) | under("part", self._part.snapshot())
        return leaves | under("block", self.block.snapshot()) | under("tags", self.tags.snapshot())

    def restore(self, leaves: Mapping[str, Leaf], room: int | None = None) -> None:
        """Go on as the one that gave these, who had room for so many classes."""
        self.unsaid = self._unsaid(room or self._learner.spec.classes)
        self._labels = int(leaves["labels"])
        self._forget_part()
        if any(name.startswith("base/") for name in leaves):
            self._base = self._restored("base", leaves)
            self._part.restore({k: np.array(v) for k, v in within("part", leaves).items()})
        self.block = self._empty()
        self._state = self._restored("learner", leaves)
        self.block.restore({k: np.array(v) for k, v in within("block", leaves).items()})
        self._told = self._latest()
        self._broke = self.faults()
        self.tags.restore(within("tags", leaves))
        self.tags.stand(self.tasks())

    def _restored(self, prefix: str, leaves: Mapping[str, Leaf]) -> dict[str, torch.Tensor]:
        learned = within(prefix, leaves).items()
        return {k: torch.as_tensor(v).clone().to(self._device) for k, v in learned}

    def _report(self) -> None:
        """Log what broke in the block, and the changes of the task that it brought.

        Changes count in the labels learned by the mixture, of which one begun anew has none.
        """
        broke = self.faults()
        if broke != self._broke:
            if any(told(count) for name, count in broke.items() if count != self._broke.get(name)):
                log.error("experts broke and began anew", resets=broke)
            self._told = min(self._told, self._latest())
            self._broke = broke
        tasks = self.tasks()
        if tasks is None:
            return
        self.tags.stand(tasks)
        for change in changes(self._state, self._told):
            self._told, self.tags.change = change.label, change.kind
            log.info(
                "task changed",
                kind=change.kind,
                task=change.task,
                probability=round(change.probability, 4),
                label=change.label,
            )

    def _lanes(self, block: Block) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """A block as tensors, always of the same shape."""
        to = self._device
        y = torch.from_numpy(block.y_B).unsqueeze(0).to(to)
        y = y.float() if self._learner.spec.regression else y.long()
        seen = torch.from_numpy(block.seen_B).unsqueeze(0).to(to)
        return torch.from_numpy(block.x_BF).unsqueeze(0).to(to), y, seen

    def _then(self, block: Block) -> torch.Tensor:
        return torch.from_numpy(block.then_BW).unsqueeze(0).to(self._device)

    def _unsaid(self, classes: int) -> Words:
        """What stands for the words of a row that has none, at so many classes."""
        return UNSAID if self._recalls is None else self._recalls.unsaid(classes).numpy()


def under(prefix: str, leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Put leaves under a prefix."""
    return {f"{prefix}/{name}": leaf for name, leaf in leaves.items()}


def within(prefix: str, leaves: Mapping[str, Leaf]) -> dict[str, Leaf]:
    """Give the leaves under a prefix, without it."""
    start = len(prefix) + 1
    return {key[start:]: leaf for key, leaf in leaves.items() if key.startswith(f"{prefix}/")}


def fingerprint(arrays: Mapping[str, Leaf], rest: Mapping[str, Any]) -> str:
    """Hash a snapshot, in short, for comparing runs bit for bit."""
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(name.encode() + torch.as_tensor(arrays[name]).cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
