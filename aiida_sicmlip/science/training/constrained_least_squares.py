"""Linear least squares with linear inequalities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

Array = npt.NDArray[np.float64]

# Size of the equations, relative to a column, that pull an unknown to zero which nothing else determines.
_PULL = 1e-9


def solve_constrained(matrix: Array, targets: Array, constraints: Array, limits: Array) -> Array:
    """Return the x (N,) with the least |matrix @ x - targets| among those with constraints @ x >= limits.

    The problem is turned into one of least distance, which non-negative least squares solves exactly. What the
    equations leave open is chosen small. Source: Lawson and Hanson, Solving Least Squares Problems (1974), chapter 23.

    :param matrix: (M, N).
    :param targets: (M,).
    :param constraints: (K, N).
    :param limits: (K,).
    :raises ValueError: when no x fulfils the constraints.
    """
    size = matrix.shape[1]
    scale = np.linalg.norm(matrix, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    equations = np.vstack([matrix / scale, _PULL * np.eye(size)])
    orthogonal, triangle = np.linalg.qr(equations)
    free = orthogonal.T @ np.concatenate([targets, np.zeros(size)])
    # With z = triangle @ (scale x) - free, |z| is what grows beyond the free minimum.
    inequalities = np.linalg.solve(triangle.T, (constraints / scale).T).T
    gaps = limits - inequalities @ free
    lengths = np.linalg.norm(inequalities, axis=1)
    inequalities, gaps = inequalities / lengths[:, None], gaps / lengths
    distance = np.zeros(size)
    if (widest := gaps.max(initial=0.0)) > 0:
        unit = np.zeros(size + 1)
        unit[-1] = 1.0
        shares, _ = nnls(np.vstack([inequalities.T, gaps / widest]), unit)
        rest = 1.0 - shares @ gaps / widest
        if rest <= 1e-12:
            raise ValueError("no values fulfil all constraints")
        distance = widest * (inequalities.T @ shares) / rest
    return np.asarray(np.linalg.solve(triangle, distance + free) / scale)
