"""Sums of kernels and their compression."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_sicmlip.science.bias.kernels import Kernel, KernelDensity, merge


def _random_kernels(count: int, spread: float) -> list[Kernel]:
    random = np.random.default_rng(11)
    return [
        Kernel(random.uniform(0.5, 2), random.normal(0, spread, 2), random.uniform(0.2, 0.4, 2)) for _ in range(count)
    ]


def test_merging_keeps_weight_mean_and_variance():
    first, second = Kernel(1.0, np.array([0.0]), np.array([0.5])), Kernel(3.0, np.array([2.0]), np.array([0.7]))
    merged = merge(first, second)
    grid = np.linspace(-8, 10, 20001)

    def moments(*kernels: Kernel) -> list[float]:
        density = sum(k.height / k.sigma[0] * np.exp(-0.5 * ((grid - k.center[0]) / k.sigma[0]) ** 2) for k in kernels)
        mean = np.average(grid, weights=density)
        return [mean, np.average((grid - mean) ** 2, weights=density)]

    assert merged.height == 4.0
    assert [merged.center[0], merged.sigma[0] ** 2] == pytest.approx(moments(first, second), rel=1e-6)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_pair_sum_is_the_double_sum(threshold):
    """Kept up to date through additions, merges and merges of merged kernels."""
    density = KernelDensity(2, cutoff=4.0, threshold=threshold)
    for kernel in _random_kernels(120, 1.0):
        density.deposit(kernel)
    assert (len(density) == 120) == (threshold == 0)
    direct = sum(density.evaluate(center)[0] for center in density.centers)
    assert density.pair_sum == pytest.approx(direct, rel=1e-12)


def test_no_two_kernels_stay_within_the_threshold_of_a_merged_one():
    """After each deposit the kernel that came out of a merge has no partner left."""
    density = KernelDensity(2, cutoff=4.0, threshold=1.0)
    merges = 0
    for kernel in _random_kernels(200, 1.0):
        before = len(density)
        density.deposit(kernel)
        if len(density) > before:
            continue
        merges += 1
        scaled = (density.centers[:, None] - density.centers) / density.sigmas
        near = (np.linalg.norm(scaled, axis=2) < 1).sum(axis=1) - 1
        assert near.min() == 0
    assert merges > 100
    assert density.heights.sum() == pytest.approx(sum(kernel.height for kernel in _random_kernels(200, 1.0)))


def test_merging_once_or_recursively():
    """The third kernel lands between two that are far from each other; what it makes is near both."""
    kernels = [Kernel(1.0, np.array([x]), np.array([0.5])) for x in (0.0, 0.9, 0.44)]
    counts = {}
    for recursive in (True, False):
        density = KernelDensity(1, cutoff=4.0, threshold=1.5, recursive=recursive)
        density.restore(kernels[:2], 0.0)
        density.deposit(kernels[2])
        counts[recursive] = len(density)
    assert counts == {True: 1, False: 2}


def test_gradient_and_truncation():
    density = KernelDensity(2, cutoff=8.0, threshold=0.0)
    for kernel in _random_kernels(5, 0.5):
        density.deposit(kernel)
    point = np.array([0.1, -0.2])
    numerical = [
        (density.evaluate(point + step)[0] - density.evaluate(point - step)[0]) / 2e-6 for step in 1e-6 * np.eye(2)
    ]
    assert density.evaluate(point)[1] == pytest.approx(numerical, rel=1e-6)
    one = KernelDensity(1, cutoff=2.0, threshold=0.0)
    one.deposit(Kernel(1.5, np.zeros(1), np.array([0.5])))
    assert one.evaluate(np.array([0.999]))[0] == pytest.approx(1.5 * (np.exp(-0.5 * 1.998**2) - np.exp(-2)))
    assert one.evaluate(np.array([1.001])) == (0.0, pytest.approx([0.0]))
