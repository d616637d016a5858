"""docs/families.md tells of every learner, and the example of a new one keeps its word."""

import re
from pathlib import Path
from typing import Any

import pytest

from agent.learners.base import Spec
from agent.learners.checks import CHECKS, Check
from agent.learners.registry import LEARNERS, Entry, every_learner
from docs.families_text import FAMILIES
from docs.families_text import LEARNERS as TOLD
from docs.make_families import PAGE, page

EXAMPLE = Path(__file__).parent.parent / "docs" / "adding_a_family.md"


def example() -> tuple[str, Entry]:
    """The code that the page shows, run as it stands there."""
    found = re.search(r"```python\n(.*?)```", EXAMPLE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {"__name__": "agent.learners.linear_means"}
    try:
        exec(found[1], names)  # noqa: S102 - the page's own example
        return found[1], LEARNERS["linear-means"]
    finally:
        LEARNERS.pop("linear-means", None)


def test_every_learner_and_family_is_told_of_and_no_other() -> None:
    assert set(TOLD) == set(every_learner())
    assert set(FAMILIES) == {entry.family for entry in every_learner().values()}


def test_the_page_is_up_to_date() -> None:
    """Else: .venv/bin/python docs/make_families.py."""
    old = PAGE.read_text(encoding="utf-8")
    assert page(old) == old


def test_the_example_is_short() -> None:
    assert len(example()[0].splitlines()) <= 60


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_example_keeps_every_promise(check: Check) -> None:
    check(example()[1], Spec(5, 3))
