"""Make docs/families.md: what each learner is, from its own file; what it costs and is good for.

.venv/bin/python docs/make_families.py

What was measured stands between markers, which `python -m benchmarks.fill_readme` fills.
"""

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # so that `agent` is found from a fresh clone

from agent.catalogue import spec_for, taught  # noqa: E402 - as above
from agent.learners.registry import Entry, every_learner  # noqa: E402 - as above
from docs.families_text import FAMILIES, LEARNERS, READINGS  # noqa: E402 - as above

PAGE = ROOT / "docs" / "families.md"
FEATURES, CLASSES = 8, 5
MOST = 12  # leaves of a state that are shown by name
MARKED = re.compile(r"<!-- results:(\w+) -->\n.*?<!-- /results:\1 -->", re.DOTALL)
TABLES = {
    "sinusoid": "Sinusoids, mean squared error on 1,000 held-out tasks"
    " (`python -m benchmarks.sinusoid`):",
    "omniglot": "Omniglot, two small sets of alphabets: meta-trained on those of the one, tested on"
    " those of the other (`python -m benchmarks.omniglot`); the papers' split needs all fifty:",
    "continual": "New Omniglot classes one after another, each seen once"
    " (`python -m benchmarks.continual`):",
    "families": "What each costs on one thread (`python -m benchmarks.families`):",
    "speed_maml": "Second-order MAML, tasks a second (`python -m benchmarks.speed_maml`):",
}
HEAD = """\
# Families of meta-learning

Made by `docs/make_families.py` from the learners' own files; do not edit by hand.

Every learner is three pure functions over a state: `begin` lays out the meta-learned start,
`predict` says a distribution, `learn` gives the state after more examples. An episode is
`learn(support)`, then `predict(query)`; a stream is `predict`, then `learn`, for ever.
`adaptd learners` lists them all, `adaptd train --learner NAME` finds their meta-parameters.
Sizes are for rows of {features} features and {classes} classes (or one number), at default options.
How to add one: [adding_a_family.md](adding_a_family.md).
"""


def page(old: str) -> str:
    """Give the whole page; what stood between markers stays."""
    entries, first = every_learner().values(), dict[str, str]()
    text = "\n".join([HEAD.format(features=FEATURES, classes=CLASSES), *_measured(), ""])
    for family, meaning in FAMILIES.items():
        text += f"\n## {family[0].upper()}{family[1:]}\n\n{meaning}\n"
        for entry in (one for one in entries if one.family == family):
            told = first.setdefault(entry.build.__module__, entry.name)
            text += _learner(entry, None if told == entry.name else told)
    kept = {found[1]: found[0] for found in MARKED.finditer(old)}
    return MARKED.sub(lambda found: kept.get(found[1], found[0]), text)


def _measured() -> Iterator[str]:
    yield "## Measured\n"
    for name, words in TABLES.items():
        yield f"{words}\n\n<!-- results:{name} -->\n<!-- /results:{name} -->\n"
        if name in READINGS:
            yield f"{READINGS[name]}\n"


def _learner(entry: Entry, told: str | None) -> str:
    cost, choose = LEARNERS[entry.name]
    spec = spec_for(entry, FEATURES, CLASSES)
    state = taught(entry(spec), spec)
    size = sum(leaf.numel() * leaf.element_size() for leaf in state.values())
    shown = [f"`{name}` {_shape(leaf.shape[1:])}" for name, leaf in state.items()]
    more = f" and {len(shown) - MOST} more" if len(shown) > MOST else ""
    idea = _idea(entry) if told is None else f"In one file with [{told}](#{told}): see there."
    return (
        f"\n### {entry.name}\n\n{idea}\n\n"
        f"*Source*: {entry.paper}. *Predicts*: {', '.join(entry.goals)}."
        f" *Meta-trained by*: {entry.outer}.\n\n"
        f"*State*, {size:,} bytes a task: {', '.join(shown[:MOST])}{more}.\n\n"
        f"*Cost*: {cost}\n\n*Choose it for*: {choose}\n"
    )


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(str(one) for one in shape) or "1"


def _idea(entry: Entry) -> str:
    """The head of the file in which it is registered."""
    module = importlib.import_module(entry.build.__module__)
    return inspect.cleandoc(module.__doc__ or "")


if __name__ == "__main__":
    before = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    PAGE.write_text(page(before), encoding="utf-8")
