"""The inner loop's pieces: a task's loss, its gradient by fast weights, and guards on it.

Shapes: T tasks, B examples, O outputs (classes or numbers).
"""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from agent.nets import hot


def inner_gradient(
    loss: Callable[..., Tensor],
    fast: Mapping[str, Tensor],
    *inputs: Tensor,
    second_order: bool = True,
) -> dict[str, Tensor]:
    """Gradient of each task's loss by its fast weights.

    Works under `no_grad` and `inference_mode` too (a stream). Where the caller's graph is recorded
    (meta-training), the gradient is part of it if `second_order`, a constant if not.

    Args:
        loss: `loss(fast, *inputs)` gives the tasks' losses, shape T.
        fast: what to differentiate by; each part has the task axis first.
        inputs: tensors that `loss` reads; hand them in here, so that they are usable under
            `inference_mode`.
        second_order: whether the outer gradient goes through this one.
    """
    recorded = torch.is_grad_enabled()
    with torch.inference_mode(mode=False), torch.enable_grad():
        parts = {
            name: leaf
            if recorded and leaf.requires_grad
            else _usable(leaf).detach().requires_grad_()
            for name, leaf in fast.items()
        }
        value = loss(parts, *(_usable(one) for one in inputs)).sum()
        graph = recorded and second_order
        grads = torch.autograd.grad(
            value, list(parts.values()), create_graph=graph, materialize_grads=True
        )
    return dict(zip(parts, grads, strict=True))


def _usable(tensor: Tensor) -> Tensor:
    return tensor.clone() if tensor.is_inference() else tensor


def cross_entropy(out_TBO: Tensor, y_TB: Tensor, seen_TB: Tensor) -> Tensor:
    """Mean cross entropy of the seen rows, in nats, shape T; 0 where none is seen."""
    logp = torch.log_softmax(out_TBO, 2)
    each = -(logp * hot(y_TB, out_TBO.shape[2])).sum(2)
    return seen_mean(each, seen_TB)


def squared_error(out_TBO: Tensor, y_TBO: Tensor, seen_TB: Tensor) -> Tensor:
    """Mean squared error of the seen rows, shape T; 0 where none is seen."""
    return seen_mean(((out_TBO - y_TBO) ** 2).mean(2), seen_TB)


def entropy_slope(out_TBO: Tensor, y_TB: Tensor, seen_TB: Tensor) -> Tensor:
    """Derivative of `cross_entropy` by `out`, shape TBO."""
    apart = torch.softmax(out_TBO, 2) - hot(y_TB, out_TBO.shape[2])
    return seen_share(apart, seen_TB)


def error_slope(out_TBO: Tensor, y_TBO: Tensor, seen_TB: Tensor) -> Tensor:
    """Derivative of `squared_error` by `out`, shape TBO."""
    return seen_share((out_TBO - y_TBO) * (2 / out_TBO.shape[2]), seen_TB)


def seen_share(each_TBO: Tensor, seen_TB: Tensor) -> Tensor:
    """Each row over the number of seen ones; 0 for the others."""
    if bool(seen_TB.all()):
        return each_TBO / each_TBO.shape[1]
    kept = torch.where(seen_TB.unsqueeze(2), each_TBO, 0.0)
    return kept / seen_TB.sum(1).clamp(min=1).view(-1, 1, 1)


def seen_mean(each_TB: Tensor, seen_TB: Tensor) -> Tensor:
    """Mean over the seen rows, shape T; what stands in the others does not matter."""
    if bool(seen_TB.all()):
        return each_TB.mean(1)
    kept = torch.where(seen_TB, each_TB, 0.0)
    return kept.sum(1) / seen_TB.sum(1).clamp(min=1)


def clipped(grads: Mapping[str, Tensor], most: float) -> dict[str, Tensor]:
    """Shrink each task's gradient, over all its parts together, to a norm of `most` or less.

    The factor is a constant to the outer gradient (Pascanu et al. 2013, section 3.2).
    """
    with torch.no_grad():
        if bool(_size(grads.values()) <= most):
            return dict(grads)  # the rule, in one quick pass: no task's is more than all tasks'
        norms = [torch.linalg.vector_norm(grad.flatten(1), dim=1) for grad in grads.values()]
        factor = most / torch.linalg.vector_norm(torch.stack(norms), dim=0).clamp(min=1e-12)
    return {name: grad * like(factor.clamp(max=1.0), grad) for name, grad in grads.items()}


def _size(leaves: Iterable[Tensor]) -> Tensor:
    """Norm of all leaves of all tasks together."""
    norms = [torch.linalg.vector_norm(leaf) for leaf in leaves]
    whole: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return whole


def like(value_T: Tensor, leaf: Tensor) -> Tensor:
    """Give a value a task the axes of a leaf, so that they multiply."""
    return value_T.view(-1, *[1] * (leaf.ndim - 1))


def sound(
    after: Mapping[str, Tensor], before: Mapping[str, Tensor], busy_T: Tensor
) -> dict[str, Tensor]:
    """Take the new parts of tasks that are busy, if all are finite; else the old."""
    with torch.no_grad():
        if bool(busy_T.all() & _size(after.values()).isfinite()):
            return dict(after)  # the rule, in one quick pass
        finite = torch.stack([leaf.isfinite().flatten(1).all(1) for leaf in after.values()]).all(0)
        keep_T = busy_T & finite
    return {
        name: torch.where(like(keep_T, leaf), leaf, before[name]) for name, leaf in after.items()
    }
