"""A density as a sum of truncated Gaussian kernels, compressed while it grows: what OPES builds its bias from.

Invernizzi and Parrinello, J. Phys. Chem. Lett. 11, 2731 (2020), equations 4 and 5 and the supporting information.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Kernel:
    """height x (exp(-u^2/2) - exp(-cutoff^2/2)), u the distance from ``center`` (n,) in units of ``sigma`` (n,)."""

    height: float
    center: np.ndarray
    sigma: np.ndarray


def merge(first: Kernel, second: Kernel) -> Kernel:
    """Return the kernel that keeps total weight, mean and variance of two."""
    height = first.height + second.height
    share, other = first.height / height, second.height / height
    center = share * first.center + other * second.center
    spread = share * (first.sigma**2 + first.center**2) + other * (second.sigma**2 + second.center**2)
    return Kernel(height, center, np.sqrt(spread - center**2))


class KernelDensity:
    """Kernels in ``n`` dimensions, truncated at ``cutoff`` sigma, that merge when closer than ``threshold`` sigma.

    ``pair_sum`` is the sum of the density over the centres of all kernels; it is kept up to date at a cost that grows
    with the number of kernels, not with its square. ``threshold`` 0 merges nothing; without ``recursive`` a merged
    kernel is not merged further.
    """

    def __init__(self, n: int, *, cutoff: float, threshold: float, recursive: bool = True):
        self._cutoff2 = cutoff**2
        self._floor = float(np.exp(-0.5 * self._cutoff2))
        self._threshold2 = threshold**2
        self._recursive = recursive
        self.heights = np.zeros(0)
        self.centers = np.zeros((0, n))
        self.sigmas = np.zeros((0, n))
        self.pair_sum = 0.0

    def __len__(self) -> int:
        return len(self.heights)

    def restore(self, kernels: list[Kernel], pair_sum: float) -> None:
        """Take the kernels of an earlier density, and its ``pair_sum``."""
        self.heights = np.array([kernel.height for kernel in kernels])
        self.centers = np.array([kernel.center for kernel in kernels]).reshape(-1, self.centers.shape[1])
        self.sigmas = np.array([kernel.sigma for kernel in kernels]).reshape(-1, self.sigmas.shape[1])
        self.pair_sum = pair_sum

    def evaluate(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the sum of all kernels at ``point`` (n,), and its gradient (n,).

        The gradient is PLUMED's: it counts each kernel's truncated value, where the Gaussian before truncation would be
        exact. So it is continuous at the cutoff, and off by exp(-cutoff^2/2) of a kernel's height at most.
        """
        scaled = (point - self.centers) / self.sigmas
        values = self._truncated(self.heights, scaled)
        return float(values.sum()), -(values @ (scaled / self.sigmas))

    def deposit(self, kernel: Kernel) -> None:
        """Add a kernel; it is merged with the nearest within the threshold, and what comes out again, and so on."""
        place = self._nearest(kernel.center)
        if place is None:
            self._insert(len(self), kernel)
            return
        merged = merge(self._remove(place), kernel)
        while self._recursive and (partner := self._nearest(merged.center)) is not None:
            # The two take the place of the one that came first; indices behind a removed kernel move up by one.
            merged = merge(merged, self._remove(partner))
            place = min(place, partner)
        self._insert(place, merged)

    def _nearest(self, center: np.ndarray) -> int | None:
        if self._threshold2 == 0 or len(self) == 0:
            return None
        scaled = (center - self.centers) / self.sigmas
        squares = np.einsum("ij,ij->i", scaled, scaled)
        index = int(np.argmin(squares))
        return index if squares[index] < self._threshold2 else None

    def _insert(self, index: int, kernel: Kernel) -> None:
        self.pair_sum += self._interactions(kernel)
        self.heights = np.insert(self.heights, index, kernel.height)
        self.centers = np.insert(self.centers, index, kernel.center, axis=0)
        self.sigmas = np.insert(self.sigmas, index, kernel.sigma, axis=0)

    def _remove(self, index: int) -> Kernel:
        kernel = Kernel(float(self.heights[index]), self.centers[index].copy(), self.sigmas[index].copy())
        self.heights = np.delete(self.heights, index)
        self.centers = np.delete(self.centers, index, axis=0)
        self.sigmas = np.delete(self.sigmas, index, axis=0)
        self.pair_sum -= self._interactions(kernel)
        return kernel

    def _interactions(self, kernel: Kernel) -> float:
        """What a kernel that is not among the kernels adds to the pair sum: both ways, and with itself."""
        away = kernel.center - self.centers
        there = self._truncated(self.heights, away / self.sigmas)
        here = self._truncated(np.broadcast_to(kernel.height, self.heights.shape), away / kernel.sigma)
        return float(there.sum() + here.sum()) + kernel.height * (1 - self._floor)

    def _truncated(self, heights: np.ndarray, scaled: np.ndarray) -> np.ndarray:
        squares = np.einsum("ij,ij->i", scaled, scaled)
        return np.where(squares < self._cutoff2, heights * (np.exp(-0.5 * squares) - self._floor), 0.0)
