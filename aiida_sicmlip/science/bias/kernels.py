"""Kernel density estimate with truncated Gaussians and on-the-fly compression, on which the OPES bias is based.

Source: Invernizzi and Parrinello, J. Phys. Chem. Lett. 11, 2731 (2020), equations 4 and 5, and its supporting
information.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Kernel:
    """Kernel height x (exp(-u^2/2) - exp(-cutoff^2/2)) at the distance u from its centre in units of sigma.

    height: at the centre, before truncation.
    center: (n,).
    sigma: widths, (n,).
    """

    height: float
    center: np.ndarray
    sigma: np.ndarray


def merge(first: Kernel, second: Kernel) -> Kernel:
    """Return the kernel with the total weight, mean and variance of two kernels."""
    height = first.height + second.height
    weight, other = first.height / height, second.height / height
    center = weight * first.center + other * second.center
    second_moment = weight * (first.sigma**2 + first.center**2) + other * (second.sigma**2 + second.center**2)
    return Kernel(height, center, np.sqrt(second_moment - center**2))


class KernelDensity:
    """Sum of truncated Gaussian kernels in n dimensions, which are merged when they are close to each other.

    heights: (K,).
    centers: (K, n).
    sigmas: (K, n).
    pair_sum: sum of the density over the centres of all kernels, updated at a cost proportional to K.

    :param n: number of dimensions.
    :param cutoff: of the kernels, in units of sigma.
    :param threshold: distance below which kernels are merged, in units of sigma; 0: no merging.
    :param recursive: whether a merged kernel is merged again.
    """

    def __init__(self, n: int, *, cutoff: float, threshold: float, recursive: bool = True):
        self._cutoff2 = cutoff**2
        self._shift = float(np.exp(-0.5 * self._cutoff2))
        self._threshold2 = threshold**2
        self._recursive = recursive
        self.heights = np.zeros(0)
        self.centers = np.zeros((0, n))
        self.sigmas = np.zeros((0, n))
        self.pair_sum = 0.0

    def __len__(self) -> int:
        return len(self.heights)

    def restore(self, kernels: list[Kernel], pair_sum: float) -> None:
        """Set kernels and ``pair_sum`` to those of an earlier density."""
        self.heights = np.array([kernel.height for kernel in kernels])
        self.centers = np.array([kernel.center for kernel in kernels]).reshape(-1, self.centers.shape[1])
        self.sigmas = np.array([kernel.sigma for kernel in kernels]).reshape(-1, self.sigmas.shape[1])
        self.pair_sum = pair_sum

    def evaluate(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the sum of all kernels at ``point`` (n,), and its gradient (n,).

        As in PLUMED, the gradient is computed from the shifted value of a kernel instead of the Gaussian, so that it is
        continuous at the cutoff; its error is at most exp(-cutoff^2/2) of the height of a kernel.
        """
        scaled = (point - self.centers) / self.sigmas
        values = self._truncated(self.heights, scaled)
        return float(values.sum()), -(values @ (scaled / self.sigmas))

    def deposit(self, kernel: Kernel) -> None:
        """Add a kernel, which is merged with the nearest kernel within the threshold, recursively if so chosen."""
        index = self._nearest(kernel.center)
        if index is None:
            self._insert(len(self), kernel)
            return
        merged = merge(self._remove(index), kernel)
        while self._recursive and (partner := self._nearest(merged.center)) is not None:
            # The merged kernel gets the smaller index of the two.
            merged = merge(merged, self._remove(partner))
            index = min(index, partner)
        self._insert(index, merged)

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
        """Return the increase of the pair sum by a kernel: both directions with other kernels, and with itself."""
        difference = kernel.center - self.centers
        of_others = self._truncated(self.heights, difference / self.sigmas)
        of_kernel = self._truncated(np.broadcast_to(kernel.height, self.heights.shape), difference / kernel.sigma)
        return float(of_others.sum() + of_kernel.sum()) + kernel.height * (1 - self._shift)

    def _truncated(self, heights: np.ndarray, scaled: np.ndarray) -> np.ndarray:
        squares = np.einsum("ij,ij->i", scaled, scaled)
        return np.where(squares < self._cutoff2, heights * (np.exp(-0.5 * squares) - self._shift), 0.0)
