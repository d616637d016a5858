"""Linear algebra that does not break: Cholesky factors of nearly singular matrices, and forecasts.

Shapes: T tasks, E rows and columns, B examples, O outputs.
"""

import torch
from torch import Tensor

LADDER = 6  # tries, each with a hundred times the jitter


def factor(matrix_TEE: Tensor) -> Tensor:
    """Lower Cholesky factor, shape TEE.

    To the diagonal is added the rounding error of its largest entry, and more of it for a task
    whose matrix is still not positive definite.
    """
    with torch.no_grad():
        largest = matrix_TEE.diagonal(dim1=1, dim2=2).amax(1)
        jitter = largest * torch.finfo(matrix_TEE.dtype).eps
        for _ in range(LADDER):
            info = torch.linalg.cholesky_ex(_raised(matrix_TEE, jitter))[1]
            if not bool(info.any()):
                break
            jitter = torch.where(info > 0, 100 * jitter, jitter)
    lower: Tensor = torch.linalg.cholesky_ex(_raised(matrix_TEE, jitter))[0]
    return lower


def unreduced(like: Tensor) -> torch.autocast:
    """Give a context in which autocast does not round what is computed on that tensor's device."""
    return torch.autocast(like.device.type, enabled=False)


def _raised(matrix_TEE: Tensor, jitter_T: Tensor) -> Tensor:
    eye = torch.eye(matrix_TEE.shape[1], dtype=matrix_TEE.dtype, device=matrix_TEE.device)
    return matrix_TEE + jitter_T[:, None, None] * eye


def solve_lower(lower_TEE: Tensor, right_TEB: Tensor) -> Tensor:
    """L^-1 of the right-hand sides, shape TEB."""
    solved: Tensor = torch.linalg.solve_triangular(lower_TEE, right_TEB, upper=False)
    return solved


def forecasts(
    joint_TBB: Tensor, error_TBO: Tensor, seen_TB: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One-step forecasts of jointly normal rows, each from the seen rows before it, in one go.

    The rows' errors about what was expected have covariance `joint` + 1; with its lower factor L,
    the innovations z solve L z = error, and row i's forecast is the part of L z below the diagonal.

    Args:
        joint_TBB: covariance of what is forecast, without the unit noise.
        error_TBO: what came, less what was expected before the first row.
        seen_TB: rows whose errors are known to later rows.

    Returns:
        What earlier rows add to each row's mean, TBO; its variance, noise included, TB; and the
        innovations, of unit variance, 0 for rows not seen, TBO.
    """
    row = seen_TB.unsqueeze(2)
    eye = torch.eye(joint_TBB.shape[1], dtype=joint_TBB.dtype, device=joint_TBB.device)
    lower = factor(torch.where(row & row.mT, joint_TBB, 0.0) + eye)
    z_TBO = solve_lower(lower, torch.where(row, error_TBO, 0.0))
    gain = solve_lower(lower, torch.where(row, joint_TBB, 0.0)).mT.tril(-1)
    left = joint_TBB.diagonal(dim1=1, dim2=2) - (gain**2).sum(2)
    return gain @ z_TBO, 1 + left.clamp(min=0), z_TBO
