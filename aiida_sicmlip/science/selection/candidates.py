"""Candidates for labelling among all frames of a round.

A round has some 100,000 frames; a selection works on a few thousand. The candidates are the frames that a selection on
all frames would pick, the most novel frames after them, and the frames nearest to the centres of clusters of all frames
sampled so far.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError, SicmlipError
from aiida_sicmlip.common.exit_status import NOTHING_NEW
from aiida_sicmlip.science.selection.candidates_file import Candidates, pack_structures
from aiida_sicmlip.science.selection.clustering import Clusters, cluster_frames, squared_distances
from aiida_sicmlip.science.selection.counts import picks_to_ask_for
from aiida_sicmlip.science.selection.farthest_point import (
    Eligibility,
    UnitRows,
    blocks,
    choose_frames,
    distance_to_set,
    near_in_time,
)
from aiida_sicmlip.science.selection.hop_share import choose_with_hops
from aiida_sicmlip.science.selection.picks import Picks
from aiida_sicmlip.science.selection.settings import SelectionSettings

REPRESENTATIVES = 10
"""Frames kept for each cluster: the nearest one may be too near in time to a training configuration."""
POINTS_OF_MAP = 5000
"""Frames of the pool that the map of descriptors is computed from and shows."""


class NothingNewError(SicmlipError):
    """No frame may be picked: each has overlapping atoms, was filtered out, or repeats a labelled or picked one."""

    exit_status = NOTHING_NEW


@dataclass(frozen=True)
class FramePool:
    """Candidates of earlier rounds, and after them all frames of this one: R frames in all.

    All arrays but the rows are (R,).

    rows: descriptors (R, D).
    n_earlier: number of frames of earlier rounds.
    trajectory: as in :class:`~aiida_sicmlip.science.selection.picks.Picks`.
    time: likewise, in ps.
    allowed: whether a frame may be picked at all.
    held_out: whether its trajectory is never trained on.
    migrating: whether it has a migrating atom.
    weights: how many frames each stands for.
    keys: random numbers in [0, 1).
    """

    rows: UnitRows
    n_earlier: int
    trajectory: np.ndarray
    time: np.ndarray
    allowed: np.ndarray
    held_out: np.ndarray
    migrating: np.ndarray
    weights: np.ndarray
    keys: np.ndarray

    @property
    def is_earlier(self) -> np.ndarray:
        """Which frames are of earlier rounds, (R,) bool."""
        return np.arange(len(self.rows)) < self.n_earlier


@dataclass(frozen=True)
class LabelledData:
    """Descriptors of the training set, (T, D), and of other labelled sets, (O, D), and the picks of earlier rounds."""

    training: np.ndarray
    other: np.ndarray
    picks: Picks | None = None


@dataclass(frozen=True)
class CandidateSearch:
    """The candidates among the frames of a pool.

    chosen: their rows, ascending, (C,).
    represents: number of frames of this round of which each is the nearest candidate, (C,).
    reference_distance: distances of all R frames from the training set, (R,).
    for_training: which of the R frames may be picked as training configurations, (R,) bool.
    for_validation: likewise.
    asked: numbers of training, validation and fixed validation configurations to pick; lower than in the settings where
        the pool has fewer.
    clusters: of all frames sampled so far.
    mean: of this round's descriptors, (D,).
    axes: directions of the map, (2, D).
    pool_map: coordinates of frames on it, (M, 2).
    reference_map: likewise of the training set, (T, 2).
    summary: counts of frames, the covering distance, and how the clusters were computed.
    """

    chosen: np.ndarray
    represents: np.ndarray
    reference_distance: np.ndarray
    for_training: np.ndarray
    for_validation: np.ndarray
    asked: tuple[int, int, int]
    clusters: Clusters
    mean: np.ndarray
    axes: np.ndarray
    pool_map: np.ndarray
    reference_map: np.ndarray
    summary: dict[str, Any]


def hold_out(
    settings: SelectionSettings, trajectory: np.ndarray, structure_of: dict[int, str], seed: int
) -> np.ndarray:
    """Return which frames, (F,) bool, belong to trajectories that are never trained on.

    :param trajectory: number of the trajectory of each frame, (F,) int.
    :param structure_of: name of the initial structure of each trajectory.
    :raises InputError: when no frame would be left to train on.
    """
    held = {number for number, name in structure_of.items() if name in settings.held_out_structures}
    others = sorted(set(structure_of) - held)
    if settings.held_out_trajectories:
        generator = np.random.Generator(np.random.PCG64(seed))
        held |= {int(number) for number in generator.permutation(others)[: settings.held_out_trajectories]}
    if structure_of and held == set(structure_of):
        raise InputError(
            f"All {len(structure_of)} trajectories of the round are held out (`held_out_trajectories` is "
            f"{settings.held_out_trajectories}, `held_out_structures` {list(settings.held_out_structures)}), so "
            "that no frame is left to train on. Hold out fewer, or explore with more walkers."
        )
    return np.isin(trajectory, sorted(held))


def find_candidates(
    settings: SelectionSettings,
    pool: FramePool,
    labelled: LabelledData,
    *,
    with_fixed: bool,
    seed: int,
    progress: Callable[[str], None] = lambda _: None,
) -> CandidateSearch:
    """Return the candidates of a round.

    The candidates contain the training configurations that a selection on all frames (of this round, and candidates of
    earlier rounds) picks with :func:`~aiida_sicmlip.science.selection.farthest_point.choose_frames`: a selection on the
    candidates gives the same picks. A selection with other settings or labels may differ from one on all frames. The
    distances d of its picks from the reference are then smaller, by at most the summary's ``covering_distance`` r in
    the metric sqrt(2 d) of distances d = 1 - k: sqrt(2 d_all) <= sqrt(2 d) + sqrt(2 r).

    Cost: descriptors x (training set + candidates) for the distances, and the clustering. Memory: a few blocks of rows
    besides the candidates.

    :param with_fixed: whether to pick configurations of the fixed validation set too.
    :param progress: called with a line on each step.
    :raises NothingNewError: when no frame may be picked for training.
    """
    this_round = ~pool.is_earlier
    progress(f"distances of {len(pool.rows)} frames from {len(labelled.training)} training configurations")
    nearest = distance_to_set(pool.rows, labelled.training)
    for_training, for_validation = _eligible(settings, pool, labelled, nearest)
    if not for_training.any():
        count = int((pool.allowed & this_round).sum())
        raise NothingNewError(
            f"Of {int(this_round.sum())} frames {count} have no overlapping atoms and pass the filter, and none of "
            "them is new: all repeat what is labelled, or was picked before."
        )
    wanted = (settings.n_training, settings.n_validation, settings.n_fixed_validation if with_fixed else 0)
    asked = picks_to_ask_for(settings, wanted, (for_training, for_validation), pool.trajectory, pool.time)
    mean = pool.rows.mean(np.flatnonzero(this_round) if pool.n_earlier else None)
    eligibility = Eligibility(for_training, pool.trajectory, pool.time, settings.separation, settings.tolerance)
    picked = choose_with_hops(
        settings,
        pool.rows,
        nearest,
        asked,
        eligibility=eligibility,
        for_validation=for_validation,
        migrating=pool.migrating,
        start=mean,
        keys=pool.keys,
    )
    picks = [*picked.training, *picked.fixed]
    progress(f"{len(picked.training)} training configurations can be picked")
    taken = np.array([pick.index for pick in picks], dtype=np.int64)
    novel = _most_novel(settings, pool, nearest, taken, for_training & this_round)
    clusters = _clusters(settings, pool, for_validation, asked, seed)
    progress(f"{len(clusters.centres)} clusters" + (" by mini-batches" if clusters.mini_batches else ""))
    free = for_validation & this_round & ~_near_picks(pool, taken, settings.separation)
    representatives = _representatives(pool.rows, np.flatnonzero(free), clusters.centres)
    chosen = np.unique(np.concatenate([taken[taken >= pool.n_earlier], novel, representatives])).astype(np.int64)
    members = np.flatnonzero(this_round & pool.allowed)
    represents, covering = _represented(pool.rows, members, chosen, nearest)
    axes, variance = _axes_of_map(pool.rows, members)
    shown = members[:: max(1, -(-len(members) // POINTS_OF_MAP))]
    reference = UnitRows("training", labelled.training)
    summary = {
        "n_candidates": len(chosen),
        "n_earlier_candidates": pool.n_earlier,
        "n_held_out": int((pool.held_out & this_round).sum()),
        "n_known": int((pool.allowed & this_round & ~for_training & ~for_validation).sum()),
        "covering_distance": covering,
        "n_clusters": len(clusters.centres),
        "mini_batches": clusters.mini_batches,
        "inertia": clusters.inertia,
        "variance_of_map": variance,
    }
    return CandidateSearch(
        chosen=chosen,
        represents=represents,
        reference_distance=nearest,
        for_training=for_training,
        for_validation=for_validation,
        asked=asked,
        clusters=clusters,
        mean=mean,
        axes=axes,
        pool_map=(pool.rows[shown] - mean) @ axes.T,
        reference_map=(reference[slice(None)] - mean) @ axes.T,
        summary=summary,
    )


def keep_candidates(
    search: CandidateSearch,
    pool: FramePool,
    structures: Sequence[Atoms],
    segment: np.ndarray,
    frame: np.ndarray,
    *,
    predicted: tuple[np.ndarray, np.ndarray] | None = None,
) -> Candidates:
    """Return the candidates of a pool, with their structures.

    :param structures: the chosen frames, in their order.
    :param segment: index of the segment of each, (C,).
    :param frame: index of each in its segment, (C,).
    :param predicted: disagreement and largest force, in eV/A, of all R frames, (R,) each, not numbers where they are
        not known; by default none is.
    """
    chosen, earlier = search.chosen, slice(0, pool.n_earlier)
    disagreement, max_force = predicted or (np.full(len(pool.rows), np.nan),) * 2
    return Candidates(
        **pack_structures(structures),
        # In their stored precision, so that distances between them are reproduced.
        descriptors=pool.rows.stored(chosen),
        segment=segment,
        frame=frame,
        trajectory=pool.trajectory[chosen],
        time=pool.time[chosen],
        held_out=pool.held_out[chosen],
        migrating=pool.migrating[chosen],
        reference_distance=search.reference_distance[chosen],
        for_training=search.for_training[chosen],
        for_validation=search.for_validation[chosen],
        keys=pool.keys[chosen],
        represents=search.represents,
        disagreement=disagreement[chosen],
        max_force=max_force[chosen],
        earlier_disagreement=disagreement[earlier],
        earlier_max_force=max_force[earlier],
        earlier_reference_distance=search.reference_distance[earlier],
        earlier_for_training=search.for_training[earlier],
        earlier_for_validation=search.for_validation[earlier],
        asked=np.array(search.asked),
        centres=search.clusters.centres,
        cluster_sizes=search.clusters.sizes,
        mean=search.mean,
        axes=search.axes,
        pool_map=search.pool_map,
        reference_map=search.reference_map,
    )


def _eligible(
    settings: SelectionSettings, pool: FramePool, labelled: LabelledData, nearest: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return which frames may become training and validation configurations, (R,) bool each."""
    fresh = pool.allowed & (nearest >= settings.tolerance)
    for others in (labelled.other, labelled.picks.descriptors if labelled.picks is not None else labelled.other[:0]):
        if len(others):
            fresh &= distance_to_set(pool.rows, others) >= settings.tolerance
    if labelled.picks is not None:
        # Frames of earlier rounds must not be near in time to those picked from the same trajectories then, whatever
        # for: a validation configuration of an earlier round may be a training configuration by now.
        for where in zip(labelled.picks.trajectory, labelled.picks.time, strict=True):
            fresh &= ~near_in_time(pool.trajectory, pool.time, *where, settings.separation)
    for_training = fresh & ~pool.held_out
    if not settings.use_earlier_rounds or settings.method == "random":
        for_training &= ~pool.is_earlier
    for_validation = fresh & (pool.held_out if settings.holds_out else True)
    return for_training, for_validation


def _most_novel(
    settings: SelectionSettings, pool: FramePool, nearest: np.ndarray, taken: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """Return the rows of this round that are most novel after the picks, whether near them in time or not."""
    count = settings.n_candidates - int((taken >= pool.n_earlier).sum())
    if not len(taken):
        return np.empty(0, dtype=np.int64)
    distance = np.minimum(nearest, distance_to_set(pool.rows, pool.rows[taken]))
    free = mask.copy()
    free[taken] = False
    more = choose_frames(
        "farthest-point", pool.rows, distance, count, Eligibility(allowed=free, tolerance=settings.tolerance)
    )
    return np.array([pick.index for pick in more], dtype=np.int64)


def _clusters(
    settings: SelectionSettings, pool: FramePool, mask: np.ndarray, asked: tuple[int, int, int], seed: int
) -> Clusters:
    """Return clusters of all frames sampled so far: those of this round and those that earlier candidates represent."""
    members = pool.allowed & (pool.held_out if settings.holds_out else True)
    members &= ~pool.is_earlier | (pool.weights > 0)
    if not (members & ~pool.is_earlier).any():
        members = mask if mask.any() else pool.allowed
    rows = np.flatnonzero(members)
    weights = pool.weights[rows].astype(np.float64)
    return cluster_frames(pool.rows, rows, weights, asked[1] + asked[2], seed=seed, at_once=settings.clustered_at_once)


def _near_picks(pool: FramePool, taken: np.ndarray, separation: float) -> np.ndarray:
    """Return which frames are picks, or too near in time to one, (R,) bool."""
    near = np.zeros(len(pool.rows), dtype=bool)
    near[taken] = True
    for index in taken:
        near |= near_in_time(pool.trajectory, pool.time, pool.trajectory[index], pool.time[index], separation)
    return near


def _representatives(rows: UnitRows, members: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the rows of the members nearest to each centre."""
    best = np.full((len(centres), REPRESENTATIVES), np.inf)
    found = np.full((len(centres), REPRESENTATIVES), -1)
    for block in blocks(len(members)):
        squares = squared_distances(rows[members[block]], centres).T
        all_squares = np.concatenate([best, squares], axis=1)
        all_rows = np.concatenate([found, np.broadcast_to(members[block], squares.shape)], axis=1)
        order = np.argsort(all_squares, axis=1, kind="stable")[:, :REPRESENTATIVES]
        best, found = (np.take_along_axis(array, order, axis=1) for array in (all_squares, all_rows))
    return np.unique(found[found >= 0])


def _represented(
    rows: UnitRows, members: np.ndarray, chosen: np.ndarray, nearest: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return how many members each candidate represents, (C,), and the largest distance of one from its candidate."""
    represents = np.zeros(len(chosen), dtype=np.int64)
    if not len(chosen):
        return represents, float(nearest[members].max(initial=0.0))
    covering = 0.0
    kept = rows[chosen]
    quick = kept.astype(np.float32)
    for block in blocks(len(members)):
        own = rows[members[block]]
        # Single precision finds the nearest candidate up to differences of 1e-7; its distance is then exact.
        of = (own.astype(np.float32) @ quick.T).argmax(axis=1)
        represents += np.bincount(of, minlength=len(chosen))
        distance = np.minimum(1.0 - np.einsum("ij,ij->i", own, kept[of]), nearest[members[block]])
        covering = max(covering, float(distance.max()))
    return represents, covering


def _axes_of_map(rows: UnitRows, members: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Return the first two principal axes, (2, D), of evenly spaced members, and their explained variance ratios."""
    sample = rows[members[:: max(1, -(-len(members) // POINTS_OF_MAP))]]
    centred = sample - sample.mean(axis=0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    axes = np.zeros((2, rows.dimension))
    axes[: len(directions[:2])] = directions[:2]
    # The sign of an axis is arbitrary; its largest component is made positive.
    largest = axes[np.arange(2), np.abs(axes).argmax(axis=1)]
    axes *= np.where(largest < 0, -1.0, 1.0)[:, None]
    variance = np.square(singular)
    total = float(variance.sum())
    return axes, [float(part / total) if total > 0 else 0.0 for part in variance[:2]]
