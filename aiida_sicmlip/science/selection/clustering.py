"""Clusters of frames, whose members nearest to the centres represent all sampled frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.selection.farthest_point import UnitRows, blocks

_ITERATIONS = 100
_PASSES = 2
"""Number of passes of the mini-batches over all frames."""


@dataclass(frozen=True)
class Clusters:
    """Centres of clusters (K, D), the weight of each (K,), and how they were computed.

    inertia: weighted sum of the squared distances of the frames from their centres.
    """

    centres: np.ndarray
    sizes: np.ndarray
    inertia: float
    mini_batches: bool


def cluster_frames(
    rows: UnitRows, members: np.ndarray, weights: np.ndarray, n_clusters: int, *, seed: int, at_once: int
) -> Clusters:
    """Return clusters of frames by weighted k-means, with the initial centres of k-means++.

    Up to ``at_once`` frames are clustered by Lloyd's algorithm, whose cost per iteration is frames x clusters. Of more,
    a random sample of ``at_once`` gives the initial centres, and mini-batches of all frames refine them (Sculley, Proc.
    WWW 2010, 1177), so that memory does not grow with the number of frames. Both are implemented in scikit-learn and
    run on one thread: with several, the order of summation changes from run to run.

    :param members: (M,) int, the rows to cluster.
    :param weights: (M,), number of frames that each represents.
    :param n_clusters: lowered to the number of members where there are fewer.
    :raises InputError: when there are no frames.
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    if not len(members):
        raise InputError("There are no frames to cluster: all were left out by the filter or held out.")
    n_clusters = min(n_clusters, len(members))
    generator = np.random.Generator(np.random.PCG64(seed))
    mini_batches = len(members) > at_once
    first = np.sort(generator.choice(len(members), at_once, replace=False)) if mini_batches else np.arange(len(members))
    with threadpool_limits(limits=1):
        lloyd = KMeans(n_clusters, n_init=1, max_iter=_ITERATIONS, random_state=seed, copy_x=False)
        lloyd.fit(rows[members[first]].astype(np.float32), sample_weight=weights[first])
        centres = lloyd.cluster_centers_
        if mini_batches:
            refined = MiniBatchKMeans(n_clusters, init=centres, n_init=1, random_state=seed, reassignment_ratio=0.0)
            for _ in range(_PASSES):
                order = generator.permutation(len(members))
                for block in blocks(len(order)):
                    part = np.sort(order[block])
                    refined.partial_fit(rows[members[part]].astype(np.float32), sample_weight=weights[part])
            centres = refined.cluster_centers_
    centres = centres.astype(np.float64)
    sizes, inertia = np.zeros(n_clusters), 0.0
    for block in blocks(len(members)):
        squares = squared_distances(rows[members[block]], centres)
        nearest = squares.argmin(axis=1)
        sizes += np.bincount(nearest, weights=weights[block], minlength=n_clusters)
        inertia += float((squares.min(axis=1) * weights[block]).sum())
    return Clusters(centres, sizes, inertia, mini_batches)


def squared_distances(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the squared Euclidean distances of rows (F, D) from centres (K, D), (F, K)."""
    squares = np.square(rows).sum(axis=1)[:, None] - 2.0 * rows @ centres.T + np.square(centres).sum(axis=1)[None, :]
    return np.maximum(squares, 0.0)
