"""States side by side: what is told apart and put together again is not copied, and stays."""

import torch

from agent.continual.abreast import joined, sundered


def state(*firsts: float) -> dict[str, torch.Tensor]:
    """Two leaves with a place a task and one with two places a task."""
    first = torch.tensor(firsts)
    return {
        "a": first[:, None, None] + torch.arange(6.0).view(2, 3),
        "b": first.view(-1, 1).clone(),
        "h": first.repeat_interleave(2).view(-1, 1),
    }


def test_states_told_apart_and_joined_again_lie_where_they_lay() -> None:
    whole = state(1.0, 2.0, 3.0)
    again = joined(sundered(whole, 3))
    assert all(torch.equal(again[name], leaf) for name, leaf in whole.items())
    assert all(again[name].data_ptr() == leaf.data_ptr() for name, leaf in whole.items())


def test_states_in_another_order_or_of_several_calls_are_joined_by_their_values() -> None:
    one, two, three = sundered(state(1.0, 2.0, 3.0), 3)
    (other,) = sundered(state(4.0), 1)
    for order, firsts in (
        ((three, one), (3.0, 1.0)),
        ((one, three), (1.0, 3.0)),
        ((one, one), (1.0, 1.0)),
        ((two, three, other), (2.0, 3.0, 4.0)),
        ((two, three), (2.0, 3.0)),
    ):
        found, meant = joined(order), state(*firsts)
        assert all(torch.equal(found[name], leaf) for name, leaf in meant.items())


def test_leaves_that_hold_nothing_are_joined_too() -> None:
    found = joined([{"none": torch.zeros(1, 0, 3)}] * 2)
    assert found["none"].shape == (2, 0, 3)
