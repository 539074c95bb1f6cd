"""Linear least squares with linear inequality constraints."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

Array = npt.NDArray[np.float64]

# Weight of the regularisation, relative to the norm of a column: unknowns that the equations leave open become zero.
_REGULARISATION = 1e-9


def solve_constrained(matrix: Array, targets: Array, constraints: Array, limits: Array) -> Array:
    """Return the x (N,) that minimises |matrix @ x - targets| subject to constraints @ x >= limits.

    The problem is transformed to a least distance problem, which non-negative least squares solves exactly. Where the
    equations do not determine x, it has minimum norm. Source: Lawson and Hanson, Solving Least Squares Problems (1974),
    chapter 23.

    :param matrix: (M, N).
    :param targets: (M,).
    :param constraints: (K, N).
    :param limits: (K,).
    :raises ValueError: if no x satisfies the constraints.
    """
    size = matrix.shape[1]
    scale = np.linalg.norm(matrix, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    equations = np.vstack([matrix / scale, _REGULARISATION * np.eye(size)])
    orthogonal, triangle = np.linalg.qr(equations)
    free = orthogonal.T @ np.concatenate([targets, np.zeros(size)])
    # With z = triangle @ (scale x) - free, |z|^2 is the increase of the residual above the unconstrained minimum.
    inequalities = np.linalg.solve(triangle.T, (constraints / scale).T).T
    gaps = limits - inequalities @ free
    lengths = np.linalg.norm(inequalities, axis=1)
    inequalities, gaps = inequalities / lengths[:, None], gaps / lengths
    distance = np.zeros(size)
    if (widest := gaps.max(initial=0.0)) > 0:
        unit = np.zeros(size + 1)
        unit[-1] = 1.0
        multipliers, _ = nnls(np.vstack([inequalities.T, gaps / widest]), unit)
        residual = 1.0 - multipliers @ gaps / widest
        if residual <= 1e-12:
            raise ValueError("no values satisfy all constraints")
        distance = widest * (inequalities.T @ multipliers) / residual
    return np.asarray(np.linalg.solve(triangle, distance + free) / scale)
